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
    "training.cross_device",
    "training.accumulate",
    "training.force_precision",
    "training.recompute",
    "training.steps_per_execution",
    "training.on_divergence",
    "training.gradient_norm_limit",
    "training.gradient_norm_ratio",
    "training.rollback_factor",
    "training.rollback_times",
    "training.identity_network",
    "data.workers",
    "data.service",
}
_RATES = {"learning_rate", "decay_steps", "milestones", "gamma"}  # of `optimizer`; may be changed, too


def resolve_config(
    name: Optional[str],
    overrides: Sequence[str],
    output: Path,
    init: Optional[Path] = None,
    resume_from: Optional[int] = None,
    teacher: Optional[Path] = None,
) -> Experiment:
    """Read the configuration that is asked for, apply overrides, and check it against the run in `output`.

    Args:
        name: name or path of a configuration; None for that of the run in `output`, or `quickstart` if there is none.
        overrides: `section.key=value`.
        output: the run's folder.
        init: the run to start from, for the setting `training.init`; None leaves this setting as it is in the run that
            is continued, or else in the configuration.
        resume_from: step of the checkpoint that the run in `output` is to continue from; None for the newest.
        teacher: the run that teaches, for the setting `training.teacher`; None as for `init`.

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
    for key, given in (("init", init), ("teacher", teacher)):
        before = "" if started is None else getattr(started.training, key)
        if given is not None and steps and before != address(given):
            raise ConfigError(
                f"--{key} {given}: {output} holds a run that has started already; leave --{key} out to continue it, or "
                "choose another --output"
            )
        path = before if given is None else address(given)
        if path:  # quoted, since YAML would read some names as numbers
            first.append(f"training.{key}={json.dumps(path)}")
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


def _check_files(config: Experiment) -> None:
    for key in ("train", "validation"):
        where = getattr(config.data, key)
        if where not in ("builtin", "holdout", "several") and not is_folder(where):
            raise ConfigError(
                f"data.{key}: no folder {where}; expected 'builtin' or a folder of images or TFRecord files"
            )
    for folder in config.data.folders:
        if not is_folder(folder.path):
            raise ConfigError(f"data.folders: no folder {folder.path}; expected one of images or TFRecord files")
        if folder.held_out and file_size(folder.held_out) is None:
            raise ConfigError(f"data.folders: no file {folder.held_out}; expected names to hold out, one a line")
    check_files = SYSTEMS[config.architecture].check_files
    if check_files is not None:
        check_files(config)


def check_init(config: Experiment) -> None:
    """Check that the runs `training.init` and `training.teacher` are there, and of the same system.

    Raises:
        ConfigError: if not.
    """
    for key, run in (("init", config.training.init), ("teacher", config.training.teacher)):
        if not run:
            continue
        if file_size(Path(run) / "config.yaml") is None:
            raise ConfigError(
                f"training.{key}: no run at {run}; expected a directory made by `rethink-fr train` or `convert-vqfr`"
            )
        architecture, _ = load_model_section(Path(run) / "config.yaml")
        if architecture != config.architecture:
            raise ConfigError(
                f"training.{key}: {run} is of architecture {architecture}, expected {config.architecture}"
            )
