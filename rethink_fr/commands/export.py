"""`rethink-fr export` writes the restorer of a run as a model that works without this package.

    rethink-fr export --model runs/faces --format saved_model --output exported

The result is loaded again and compared with the Keras model before the command reports success.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.errors import OK
from rethink_fr.files.names import printable

NAME = "export"
SUMMARY = "write a deployable model and check it against the Keras one"
EXAMPLE = "rethink-fr export --model runs/faces --format saved_model --output exported"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", required=True, type=Path, metavar="RUN_DIR")
    parser.add_argument("--format", required=True, choices=("saved_model",))
    parser.add_argument("--output", required=True, type=Path, metavar="PATH")
    add_overwrite(parser, "a SavedModel that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Export the run, and print how far the export is from the Keras model."""
    from rethink_fr.inference.saved_model import export_run

    report = export_run(arguments.model, arguments.output, arguments.overwrite)
    print(
        f"{printable(report.output)}: SavedModel of step {report.step}; largest difference to the Keras model "
        f"{report.difference:.3g} of 255 levels"
    )
    return OK
