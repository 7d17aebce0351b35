"""`rethink-fr export` writes the restorer of a run as a model that works without this package.

    rethink-fr export --model runs/faces --format saved_model --output exported

The result is loaded again and compared with the Keras model on faces before the command reports success. If it is
further away than its tolerance, nothing is written. What it takes and gives is printed. See docs/exporting.md.
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
    parser.add_argument("--format", required=True, choices=("saved_model", "tflite", "onnx", "web"))
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="PATH",
        help="a new folder for saved_model and web (a page that restores in browsers), a file for the others",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "float16", "int8"),
        help="float16: TFLite, ONNX, web; int8 (of weights, dynamic range): TFLite",
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FOLDER",
        help="degraded faces to compare on, the first six; by default drawn ones",
    )
    parser.add_argument(
        "--native", action="store_true", help="SavedModel: keep the compiled operators, for those who load them"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="ONNX, web: deformable convolution as plain operators, for runtimes without it",
    )
    add_overwrite(parser, "an exported model that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Export the run; print what the model takes and gives, and how it compares with the Keras model."""
    from rethink_fr.exporting.export import export_run

    report = export_run(
        arguments.model,
        arguments.output,
        arguments.format,
        arguments.precision,
        arguments.check,
        arguments.native,
        arguments.plain,
        arguments.overwrite,
    )
    print(f"{printable(report.output)}: {report.made} of step {report.step}; {'; '.join(report.notes)}")
    print("\n".join(report.interface))
    print(report.comparison.text(report.tolerance))
    print(report.comparison.costs())
    return OK
