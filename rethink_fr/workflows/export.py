"""`rethink-fr export`: a run becomes a deployable model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rethink_fr.export.saved_model import export_saved_model
from rethink_fr.workflows.loading import load_run


class ExportReport(NamedTuple):
    """What was exported."""

    output: Path
    step: int  # of the checkpoint
    difference: float  # largest, to the Keras model, in 8-bit levels


def export(run: Path, output: Path) -> ExportReport:
    """Export the averaged restorer of a run directory as a SavedModel.

    Raises:
        ValueError: if there is no run, `output` exists, or the exported model is not the same.
    """
    if not (run / "config.yaml").is_file():
        raise ValueError(f"{run}: no run here; expected a directory made by `rethink-fr train`")
    loaded = load_run(run)
    return ExportReport(output, loaded.step, export_saved_model(loaded.inference, output))
