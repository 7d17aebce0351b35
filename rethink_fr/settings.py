"""Settings of a run: frozen dataclasses of the sections that systems share, and of the restorer; their checks.

Imports no TensorFlow. Layers and models take plain keyword arguments and know nothing of this.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Tuple

from rethink_fr.types import DegradationRanges


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what was expected."""


@dataclass(frozen=True)
class DataConfig:
    """Where clean images come from: `builtin` (drawn faces), a folder of images, or a folder of TFRecord files.

    `validation` may also be `holdout`: `validation_images` pictures are then taken out of the training set, or a
    quarter of it if it has no more than that.
    """

    train: str = "builtin"
    validation: str = "builtin"
    validation_images: int = 64
    builtin_identities: int = 500
    builtin_pictures: int = 6  # per identity
    flip: float = 0.5  # probability
    color_jitter: float = 0.0  # strength 0..1
    workers: int = 0  # parallel image readers; 0 lets tf.data choose


@dataclass(frozen=True)
class DegradationConfig(DegradationRanges):
    """Ranges for `blind` (Eq. 13) and `vqfr`; the super-resolution tasks `x8` and `x16` are bicubic reduction only."""

    task: Literal["blind", "x8", "x16", "vqfr"] = "blind"


@dataclass(frozen=True)
class TrainingConfig:
    """Length and rhythm of a run. All intervals are in steps."""

    steps: int = 1_212_500  # 400 epochs of 97,000 images at batch 32
    global_batch: int = 32
    seed: int = 0
    average_decay: float = 0.999  # of the generator's average; 0: it is a copy
    init: str = ""  # the run whose weights this one starts from, "" for none; see `train --init`
    log_every: int = 100
    sample_every: int = 2000
    validate_every: int = 5000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3
    logical_cpus: int = 0  # split the CPU in this many devices, to try `mirrored` without GPUs


class Experiment(Protocol):
    """What the configurations of all systems have; each is a frozen dataclass of frozen dataclasses."""

    @property
    def architecture(self) -> str:
        """Name of the system in `rethink_fr.restorers`."""

    @property
    def model(self) -> Any:
        """The system's own section, which has a `resolution`."""

    @property
    def data(self) -> DataConfig:
        """Clean images."""

    @property
    def degradation(self) -> DegradationConfig:
        """How they are degraded."""

    @property
    def training(self) -> TrainingConfig:
        """Length and rhythm."""


@dataclass(frozen=True)
class ModelConfig:
    """The restorer. `n_skips` counts skip blocks from 8x8 upward (at 8, 16, 32, ... 2^(n_skips + 2))."""

    resolution: int = 512
    width: float = 1.0
    n_skips: int = 4
    codebook_size: int = 1024
    fusion: Literal["lgf", "add", "concat"] = "lgf"
    quantize: bool = True
    noise: bool = True
    codebook_decay: float = 0.99
    codebook_reseed_after: int = 200  # steps without use before a code is re-seeded; 0 turns re-seeding off


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of Eq. 7 and of the discriminator's side. The five perceptual weights go with conv1_2 ... conv5_4."""

    adversarial: float = 1.0  # alpha
    l1: float = 1.0
    commitment: float = 1.0
    vgg19: str = "imagenet"  # "imagenet" (Keras' download), a path to Keras VGG-19 weights (.h5), or "none"
    feature: Tuple[float, float, float, float, float] = (1e-6, 1e-6, 1e-6, 1e-6, 1e-6)
    style: Tuple[float, float, float, float, float] = (1e-6, 1e-6, 1e-6, 1e-6, 1e-6)
    augment: str = "color,translation"  # DiffAugment policy; "" turns it off
    r1_gamma: float = 0.0
    r1_interval: int = 16


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam (Appendix A of the paper), for both networks."""

    learning_rate: float = 2.5e-3
    beta_1: float = 0.0
    beta_2: float = 0.99
    epsilon: float = 1e-8
    decay_steps: int = 0  # steps over which the learning rate falls to 0 along half a cosine; 0: constant


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run of the restorer; written to `config.yaml` beside its checkpoints."""

    architecture: Literal["rethink"] = "rethink"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


class Checks:
    """Refuses values that have the right type but cannot be meant.

    Args:
        config: an `Experiment`; keys are dotted paths in it, such as `section.name`.
    """

    def __init__(self, config: Any) -> None:
        self._config = config

    def require(self, condition: bool, key: str, expected: str) -> None:
        """A ConfigError that names key, expectation and value, unless the condition holds."""
        if not condition:
            raise ConfigError(f"{key}: expected {expected}, got {self._value(key)!r}")

    def within(self, key: str, low: float, high: float = 1e12) -> None:
        """The value, or each of its items, is a number from `low` to `high`."""
        value = self._value(key)
        values = value if isinstance(value, tuple) else (value,)
        expected = f"at least {low:g}" if high == 1e12 else f"{low:g} to {high:g}"
        self.require(all(low <= item <= high for item in values), key, expected)

    def fraction(self, key: str) -> None:
        """The value is a decay or momentum."""
        self.require(0 <= self._value(key) < 1, key, "0 or more, below 1")

    def _value(self, key: str) -> Any:
        return functools.reduce(getattr, key.split("."), self._config)


def check_shared(config: Experiment) -> None:
    """Check the sections that every system has: data, degradation, training.

    Raises:
        ConfigError: naming the key.
    """
    checks, data = Checks(config), config.data
    for key in ("flip", "color_jitter"):
        checks.within(f"data.{key}", 0, 1)
    for key in ("validation_images", "builtin_identities", "builtin_pictures"):
        checks.within(f"data.{key}", 1)
    checks.within("data.workers", 0, 1024)
    checks.require(bool(data.train) and data.train != "holdout", "data.train", "'builtin' or a path")
    checks.require(bool(data.validation), "data.validation", "'builtin', 'holdout' or a path")
    vqfr = config.degradation.task == "vqfr"
    checks.within("degradation.anisotropic", 0, 1)
    checks.require(
        vqfr or not config.degradation.anisotropic, "degradation.anisotropic", "0, unless degradation.task is vqfr"
    )
    for key, low, high in (
        ("blur_sigma", 0.0, 100.0),
        ("downscale", 0.25 if vqfr else 1.0, 64.0),  # only VQFR's code enlarges
        ("noise", 0.0, 255.0),
        ("jpeg_quality", 1, 100),
    ):
        first, last = getattr(config.degradation, key)
        checks.require(low <= first <= last <= high, f"degradation.{key}", f"[low, high] within {low:g} to {high:g}")
    checks.fraction("training.average_decay")
    for key in ("steps global_batch log_every sample_every validate_every checkpoint_every keep_checkpoints").split():
        checks.within(f"training.{key}", 1)
    checks.within("training.logical_cpus", 0, 64)
    checks.within("training.seed", 0, 2**31 - 1)


def check_restorer(config: ExperimentConfig) -> None:
    """Check everything of a run of the restorer.

    Raises:
        ConfigError: naming the key.
    """
    checks = Checks(config)
    model, objective, optimizer, steps = config.model, config.objective, config.optimizer, config.training.steps
    resolution = model.resolution
    power_of_two = resolution & (resolution - 1) == 0
    checks.require(32 <= resolution <= 1024 and power_of_two, "model.resolution", "a power of two, 32 to 1024")
    checks.within("model.width", 1 / 32, 8)
    most = max_skips(resolution)
    checks.require(0 <= model.n_skips <= most, "model.n_skips", f"0 to {most} at {resolution} px")
    checks.within("model.codebook_size", 2, 1 << 20)
    checks.fraction("model.codebook_decay")
    checks.within("model.codebook_reseed_after", 0)
    check_shared(config)
    for key in ("adversarial", "l1", "commitment", "feature", "style", "r1_gamma"):
        checks.within(f"objective.{key}", 0)
    checks.within("objective.r1_interval", 1)
    policies = [policy for policy in objective.augment.split(",") if policy]
    checks.require(
        all(policy in ("color", "translation", "cutout") for policy in policies),
        "objective.augment",
        "a comma-separated choice of color, translation, cutout, or ''",
    )
    checks.require(bool(objective.vgg19), "objective.vgg19", "'imagenet', 'none' or a path to an .h5 file")
    checks.within("optimizer.learning_rate", 0, 10)
    checks.within("optimizer.epsilon", 0, 1)
    checks.fraction("optimizer.beta_1")
    checks.fraction("optimizer.beta_2")
    checks.require(
        optimizer.decay_steps == 0 or optimizer.decay_steps >= steps,
        "optimizer.decay_steps",
        f"0 or at least training.steps ({steps})",
    )


def max_skips(resolution: int) -> int:
    """Skip blocks stand at 8 ... resolution / 2, one an octave."""
    return resolution.bit_length() - 4
