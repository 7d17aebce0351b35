"""The configuration of a call of `train`. Imports no TensorFlow: mistakes are told at once."""

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

# What may change between the two halves of a run without making it another experiment.
_CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.validate_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.logical_cpus",
    "data.workers",
}
_RATES = {"learning_rate", "decay_steps", "milestones", "gamma"}  # of `optimizer`: a run may go on with others


def resolve_config(
    name: Optional[str],
    overrides: Sequence[str],
    output: Path,
    init: Optional[Path] = None,
    resume_from: Optional[int] = None,
) -> Experiment:
    """The configuration named, else that of the run in `output`, else `quickstart`; with overrides, checked.

    Args:
        init: a run to start from, for `training.init`; None leaves what the configuration, or else the run in `output`
            that is continued, says.
        resume_from: step of the checkpoint that the run in `output` is to go on from; None for the newest.

    Raises:
        ConfigError: if it is invalid, names files that are not there, would turn the run in `output` into another
            experiment, start that run from other weights, or try again what became NaN; or if that run is not whole.
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
        _check_init(config)
    changed = changed_keys(started, config) if started is not None else []
    refused = [key for key in changed if key not in _CHANGEABLE and not _is_rate(key)]
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


def _is_rate(key: str) -> bool:
    """Whether a setting is about the learning rates."""
    return key.startswith("optimizer.") and key.rsplit(".", 1)[1] in _RATES


def _init(path: str) -> str:
    return f"training.init={json.dumps(path)}"  # quoted: YAML would read some names as numbers


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


def _check_init(config: Experiment) -> None:
    init = config.training.init
    if file_size(Path(init) / "config.yaml") is None:
        raise ConfigError(
            f"training.init: no run at {init}; expected a directory made by `rethink-fr train` or `convert-vqfr`"
        )
    architecture, _ = load_model_section(Path(init) / "config.yaml")
    if architecture != config.architecture:
        raise ConfigError(f"training.init: {init} is of architecture {architecture}, expected {config.architecture}")
