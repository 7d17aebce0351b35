"""`rethink-fr export`: a run to a deployable model."""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.commands.outcome import OK
from rethink_fr.files.names import printable

NAME = "export"
SUMMARY = "write a deployable model and check it against the Keras one"
EXAMPLE = "rethink-fr export --model runs/faces --format saved_model --output exported"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--model", required=True, type=Path, metavar="RUN_DIR")
    parser.add_argument("--format", required=True, choices=("saved_model",))
    parser.add_argument("--output", required=True, type=Path, metavar="PATH")
    add_overwrite(parser, "a SavedModel that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from rethink_fr.inference.export import export

    report = export(arguments.model, arguments.output, arguments.overwrite)
    print(
        f"{printable(report.output)}: SavedModel of step {report.step}; largest difference to the Keras model "
        f"{report.difference:.3g} of 255 levels"
    )
    return OK
