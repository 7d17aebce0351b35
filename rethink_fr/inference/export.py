"""`rethink-fr export`: a run becomes a deployable model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rethink_fr.files.names import printable
from rethink_fr.files.outputs import check_folder
from rethink_fr.files.reading import file_size
from rethink_fr.inference.saved_model import SAVED_MODEL_PARTS, export_saved_model
from rethink_fr.runs.loading import load_run
from rethink_fr.runs.mirror import local_model


class ExportReport(NamedTuple):
    """What was exported."""

    output: Path
    step: int  # of the checkpoint
    difference: float  # largest, to the Keras model, in 8-bit levels


def export(run: Path, output: Path, overwrite: bool = False) -> ExportReport:
    """Export the averaged restorer of a run directory as a SavedModel.

    Args:
        run: directory.
        output: a new or empty directory; it appears whole or not at all.
        overwrite: whether a SavedModel that is there already may be replaced.

    Raises:
        ValueError: if there is no run, `output` holds something, or the exported model is not the same.
    """
    if file_size(run / "config.yaml") is None:
        raise ValueError(f"{printable(run)}: no run here; expected a directory made by `rethink-fr train`")
    check_folder(output, [run], overwrite, SAVED_MODEL_PARTS)
    with local_model(run) as folder:
        loaded = load_run(folder)
    return ExportReport(output, loaded.step, export_saved_model(loaded.inference, output, overwrite))
