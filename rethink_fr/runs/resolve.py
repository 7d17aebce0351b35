"""Which configuration a call of `rethink-fr train` has. Does not import TensorFlow, so that mistakes show at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List, Optional, Sequence

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.files.addresses import address
from rethink_fr.files.names import printable
from rethink_fr.files.reading import file_size, is_folder
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.config_file import changed_keys, load_config, load_model_section
from rethink_fr.runs.divergence import divergence
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, started_config
from rethink_fr.systems import SYSTEMS

# Settings that a continued run may change. With any other one changed it would be another experiment.
_CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.validate_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.logical_cpus",
    "training.accumulate",
    "training.recompute",
    "training.steps_per_execution",
    "training.on_divergence",
    "training.gradient_norm_limit",
    "training.gradient_norm_ratio",
    "training.rollback_factor",
    "training.rollback_times",
    "training.identity_network",
    "data.workers",
}
_RATES = {"learning_rate", "decay_steps", "milestones", "gamma"}  # of `optimizer`; may be changed, too


def resolve_config(
    name: Optional[str],
    overrides: Sequence[str],
    output: Path,
    init: Optional[Path] = None,
    resume_from: Optional[int] = None,
) -> Experiment:
    """Read the configuration that is asked for, apply overrides, and check it against the run in `output`.

    Args:
        name: name or path of a configuration; None for that of the run in `output`, or `quickstart` if there is none.
        overrides: `section.key=value`.
        output: the run's folder.
        init: the run to start from, for the setting `training.init`; None leaves this setting as it is in the run that
            is continued, or else in the configuration.
        resume_from: step of the checkpoint that the run in `output` is to continue from; None for the newest.

    Raises:
        ConfigError: if the configuration is not valid or names files that do not exist; if it would make another
            experiment of the run in `output`, start it from other weights, or repeat what became NaN; or if files of
            that run are missing.
    """
    started = started_config(output)
    steps = checkpoint_steps(output / CHECKPOINTS)
    if name is None:
        name = str(output / CONFIG) if started is not None else "quickstart"
    first: List[str] = []
    if init is not None:
        if steps and (started is None or started.training.init != address(init)):
            raise ConfigError(
                f"--init {init}: {output} holds a run that has started already; leave --init out to continue it, or "
                "choose another --output"
            )
        first = [_init(address(init))]
    elif started is not None and started.training.init:
        first = [_init(started.training.init)]
    config = load_config(name, [*first, *overrides])
    _check_files(config)
    if config.training.init and not steps:
        check_init(config)
    changed = changed_keys(started, config) if started is not None else []
    refused = refused_changes(changed)
    if refused:
        raise ConfigError(
            f"{output} holds a run with other settings ({', '.join(refused)}); leave them as they are to continue "
            "it, or choose another --output"
        )
    if resume_from is not None and resume_from not in steps:
        raise ConfigError(
            f"--resume-from {resume_from}: {printable(output)} has no checkpoint of this step; expected one of "
            f"{', '.join(map(str, steps[-20:])) or 'none'}"
        )
    diverged = divergence(output) if started is not None else None
    if diverged is not None and resume_from is None and not any(_is_rate(key) for key in changed):
        raise ConfigError(f"{printable(output)}: the same settings would end the same way: {diverged}")
    return config


def refused_changes(changed: Sequence[str]) -> List[str]:
    """Those of the changed settings with which a run cannot be continued."""
    return [key for key in changed if key not in _CHANGEABLE and not _is_rate(key)]


def _is_rate(key: str) -> bool:
    """Whether a setting decides learning rates."""
    return key.startswith("optimizer.") and key.rsplit(".", 1)[1] in _RATES


def _init(path: str) -> str:
    return f"training.init={json.dumps(path)}"  # quoted, since YAML would read some names as numbers


def _check_files(config: Experiment) -> None:
    for key in ("train", "validation"):
        where = getattr(config.data, key)
        if where not in ("builtin", "holdout") and not is_folder(where):
            raise ConfigError(
                f"data.{key}: no folder {where}; expected 'builtin' or a folder of images or TFRecord files"
            )
    check_files = SYSTEMS[config.architecture].check_files
    if check_files is not None:
        check_files(config)


def check_init(config: Experiment) -> None:
    """Check that the run `training.init` is there, and of the same system.

    Raises:
        ConfigError: if not.
    """
    init = config.training.init
    if file_size(Path(init) / "config.yaml") is None:
        raise ConfigError(
            f"training.init: no run at {init}; expected a directory made by `rethink-fr train` or `convert-vqfr`"
        )
    architecture, _ = load_model_section(Path(init) / "config.yaml")
    if architecture != config.architecture:
        raise ConfigError(f"training.init: {init} is of architecture {architecture}, expected {config.architecture}")
