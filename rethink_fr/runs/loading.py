"""The network of a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rethink_fr.runs.checkpoint_reading import load_average
from rethink_fr.runs.config_file import load_model_section
from rethink_fr.system import Inference, Precision
from rethink_fr.systems import SYSTEMS


class LoadedRun(NamedTuple):
    """The network of a run directory."""

    settings: Any  # its `model` section
    inference: Inference
    step: int  # of the checkpoint


def load_run(path: Path, precision: Precision = "float32") -> LoadedRun:
    """The network of a run directory, of whichever architecture, with its averaged weights.

    Raises:
        ValueError: if it cannot be read.
    """
    architecture, settings = load_model_section(path / "config.yaml")
    kind = SYSTEMS[architecture]
    network = kind.build(settings)
    step = load_average(path / "checkpoints", network)
    return LoadedRun(settings, kind.inference(network, precision), step)
