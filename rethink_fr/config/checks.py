"""Refuses values of a configuration that have the right type but cannot be meant, by an error that names the key."""

from __future__ import annotations

import functools
import re
from typing import Any

from rethink_fr.config.sections import Experiment


class ConfigError(ValueError):
    """A configuration or a call that cannot be used. The message names the key or option and what was expected."""


class Checks:
    """Checks values of one configuration. Every method raises a ConfigError that names the key unless all is well.

    Args:
        config: an `Experiment`, or anything whose attributes are sections. Keys are dotted paths in it, such as
            `training.steps`.

    Example:
        >>> from types import SimpleNamespace
        >>> checks = Checks(SimpleNamespace(training=SimpleNamespace(steps=0)))
        >>> checks.within("training.steps", 1)
        Traceback (most recent call last):
        rethink_fr.config.checks.ConfigError: training.steps: expected at least 1, got 0
    """

    def __init__(self, config: Any) -> None:
        self._config = config

    def require(self, condition: bool, key: str, expected: str) -> None:
        """Require a condition; `expected` says in the message what it asks of the value."""
        if not condition:
            raise ConfigError(f"{key}: expected {expected}, got {self.value(key)!r}")

    def within(self, key: str, low: float, high: float = 1e12) -> None:
        """Require that the value, or each of its items, is a number from `low` to `high`."""
        value = self.value(key)
        values = value if isinstance(value, tuple) else (value,)
        expected = f"at least {low:g}" if high == 1e12 else f"{low:g} to {high:g}"
        self.require(all(low <= item <= high for item in values), key, expected)

    def fraction(self, key: str) -> None:
        """Require that the value is a decay or momentum: 0 or more, below 1."""
        self.require(0 <= self.value(key) < 1, key, "0 or more, below 1")

    def value(self, key: str) -> Any:
        """The value of a key."""
        return functools.reduce(getattr, key.split("."), self._config)


def check_shared(config: Experiment) -> None:
    """Check the sections `data`, `degradation` and `training`, which every system has. Looks at no file.

    Raises:
        ConfigError: naming the key.
    """
    checks, data = Checks(config), config.data
    for key in ("flip", "color_jitter"):
        checks.within(f"data.{key}", 0, 1)
    for key in ("validation_images", "builtin_identities", "builtin_pictures"):
        checks.within(f"data.{key}", 1)
    checks.require(0 < data.portion <= 1, "data.portion", "above 0, at most 1")
    checks.within("data.workers", 0, 1024)
    served = re.fullmatch(r"(grpc://\S+:\d{1,5})?", data.service) is not None
    checks.require(served, "data.service", "grpc://HOST:PORT, or '' for none")
    checks.require(bool(data.train) and data.train != "holdout", "data.train", "'builtin' or a path")
    _check_folders(config, checks)
    checks.require(bool(data.validation), "data.validation", "'builtin', 'holdout' or a path")
    check_degradation(config)
    alone = bool(config.training.teacher) and not config.training.init
    checks.require(not alone, "training.teacher", "'' where training.init is ''")
    checks.fraction("training.average_decay")
    for key in ("steps global_batch log_every sample_every validate_every checkpoint_every keep_checkpoints").split():
        checks.within(f"training.{key}", 1)
    checks.within("training.accumulate", 1)
    batch = config.training.global_batch
    checks.require(batch % config.training.accumulate == 0, "training.accumulate", f"a divisor of the batch of {batch}")
    checks.within("training.steps_per_execution", 1)
    together = config.training.steps_per_execution
    for key in ("steps log_every sample_every validate_every checkpoint_every").split():
        whole = checks.value(f"training.{key}") % together == 0
        checks.require(whole, f"training.{key}", f"a multiple of the {together} of training.steps_per_execution")
    checks.within("training.logical_cpus", 0, 64)
    checks.within("training.seed", 0, 2**31 - 1)
    _check_divergence(checks)
    # Each sphere of iPrecision reaches to the fourth nearest other face.
    measured = not config.training.identity_network or data.validation_images > 5
    checks.require(measured, "data.validation_images", "at least 6 where training.identity_network is set")


def _check_divergence(checks: Checks) -> None:
    for key in ("gradient_norm_limit", "rollback_times"):
        checks.within(f"training.{key}", 0)
    ratio = checks.value("training.gradient_norm_ratio")
    checks.require(ratio == 0 or ratio > 1, "training.gradient_norm_ratio", "0, or above 1")
    factor = checks.value("training.rollback_factor")
    checks.require(0 < factor <= 1, "training.rollback_factor", "above 0, at most 1")


def _check_folders(config: Experiment, checks: Checks) -> None:
    data = config.data
    several = data.train == "several"
    checks.require(
        several == bool(data.folders), "data.train", "'several' where data.folders are given, and only there"
    )
    if not several:
        return
    paths, shares = [one.path for one in data.folders], [one.share for one in data.folders]
    distinct = len(set(paths)) == len(paths) and not {"", "builtin", "holdout", "several"} & set(paths)
    checks.require(distinct, "data.folders", "a path for each, and no path twice")
    whole = all(share > 0 for share in shares) and abs(sum(shares) - 1) < 1e-3
    checks.require(whole or not any(shares), "data.folders", "shares that are together 1, or no share")
    held_out = data.validation != "holdout" or any(one.held_out for one in data.folders)
    checks.require(held_out, "data.validation", "a path or 'builtin' where no folder has a list held_out")


def check_degradation(config: Any) -> None:
    """Check the section `degradation` of a configuration, or of anything else that has it as an attribute.

    Raises:
        ConfigError: naming the key.
    """
    checks, degradation = Checks(config), config.degradation
    vqfr = degradation.task == "vqfr"
    checks.within("degradation.anisotropic", 0, 1)
    checks.require(vqfr or not degradation.anisotropic, "degradation.anisotropic", "0, unless degradation.task is vqfr")
    for key, low, high in (
        ("blur_sigma", 0.0, 100.0),
        ("downscale", 0.25 if vqfr else 1.0, 64.0),  # only VQFR's code enlarges
        ("noise", 0.0, 255.0),
        ("jpeg_quality", 1, 100),
    ):
        first, last = getattr(degradation, key)
        checks.require(low <= first <= last <= high, f"degradation.{key}", f"[low, high] within {low:g} to {high:g}")
