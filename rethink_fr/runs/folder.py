"""A run's folder: who may train in it, and whether the run in it can be continued.

Does not import TensorFlow.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Iterator, Optional, Set

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.files.locks import exclusive_lock
from rethink_fr.files.names import printable
from rethink_fr.runs.checkpoint_files import checkpoint_steps, had_checkpoints
from rethink_fr.runs.config_file import load_config, load_run_config
from rethink_fr.runs.records import last_recorded_step

CONFIG, CHECKPOINTS, METRICS, LOGS = "config.yaml", "checkpoints", "metrics.jsonl", "logs"
FINAL_SHEET = "samples/final.png"
LOCK = "run.lock"

_held: Set[str] = set()  # the folders that this process has locked


@contextlib.contextmanager
def run_lock(output: Path) -> Iterator[None]:
    """Keep other processes from training in `output` while the block runs. The folder is created.

    Blocks of the same process may be nested.

    Raises:
        LockedError: if another process trains there.
        OSError: if the folder cannot be created or written.
    """
    key = os.path.realpath(output)
    if key in _held:
        yield
        return
    output.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(output / LOCK, "this run"):
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)


def is_chief(strategy: str) -> bool:
    """Whether this process writes to the run's folder: it is the only one, or the chief of the workers in TF_CONFIG."""
    if strategy != "multiworker":
        return True
    try:
        description = json.loads(os.environ.get("TF_CONFIG") or "{}")
        task, cluster = description.get("task", {}), description.get("cluster", {})
        kind, index = task.get("type", "chief"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError):
        return True  # TensorFlow will say what is wrong with it
    return kind == "chief" or (kind == "worker" and index == 0 and "chief" not in cluster)


def started_config(output: Path) -> Optional[Experiment]:
    """The configuration of the run in `output`; None if there is no run.

    Raises:
        ConfigError: if it cannot be read, or if it or all checkpoints are missing though a run was there. Otherwise the
            run would silently start again, from step 0 or with other settings.
    """
    path = output / CONFIG
    begun = _has_begun(output)
    if not path.is_file():
        if begun:
            raise ConfigError(
                f"{printable(path)}: the configuration of the run in this folder is not there; put it back, or choose "
                "another --output"
            )
        return None
    if not begun:
        return load_config(path)
    try:
        config = load_run_config(path)
    except (ConfigError, OSError) as error:
        raise ConfigError(
            f"{' '.join(str(error).split())}; this is the configuration of the run in this folder: put it right, or "
            "choose another --output"
        ) from None
    _require_checkpoints(output, config)
    return config


def _has_begun(output: Path) -> bool:
    if (output / METRICS).exists():
        return True
    folders = (output / CHECKPOINTS, output / LOGS)
    return any(folder.is_dir() and any(folder.iterdir()) for folder in folders)


def _require_checkpoints(output: Path, config: Experiment) -> None:
    """Raise a ConfigError for a run that had checkpoints and has none: it would start again and lose its records."""
    directory = output / CHECKPOINTS
    if checkpoint_steps(directory):
        return
    recorded = last_recorded_step(output / METRICS)
    proof = ""
    if had_checkpoints(directory):
        proof = "it had some"
    elif (output / FINAL_SHEET).exists():
        proof = f"{FINAL_SHEET} says that it was finished"
    elif recorded > config.training.checkpoint_every:
        proof = f"{METRICS} says that it came to step {recorded}"
    if proof:
        raise ConfigError(
            f"{printable(directory)}: no checkpoint of this run is there, but {proof}; put a copy of one back, or "
            "choose another --output"
        )
