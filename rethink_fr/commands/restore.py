"""`rethink-fr restore` restores photos of single faces that are framed as in FFHQ.

    rethink-fr restore photo.png --aligned --model runs/faces --output restored --samples 4

Each input becomes a PNG file of the model's resolution; with several samples, one for each and a contact sheet.
`report.json` says what became of every input. One that cannot be read is listed, and the others are restored.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import report_failures
from rethink_fr.files.addresses import address
from rethink_fr.files.names import printable

NAME = "restore"
SUMMARY = "restore photos"
EXAMPLE = "rethink-fr restore photo.png --aligned --model runs/faces --output restored --samples 4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", nargs="+", type=Path, metavar="INPUT", help="picture files and folders")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("mini128"),
        metavar="RUN_OR_SAVED_MODEL",
        help="directory made by train or export, the name of a run in runs/, or a model of the package; "
        "default: %(default)s",
    )
    parser.add_argument("--aligned", action="store_true", help="inputs are single faces framed as in FFHQ")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="restorations of each input")
    parser.add_argument(
        "--noise-scale", type=float, default=1.0, metavar="S", help="0: one deterministic answer; 1: all of the variety"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K")
    parser.add_argument(
        "--fidelity", type=float, metavar="F", help="VQFR version 2: 0, textures of the codebook alone, to 1 (default)"
    )
    parser.add_argument("--texture", action="store_true", help="VQFR: write the texture branch's image too")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of products; bfloat16 is faster where the processor has it; default: %(default)s",
    )
    add_overwrite(parser, "files that are in --output already")


def run(arguments: argparse.Namespace) -> int:
    """Restore the inputs, and list those that could not be."""
    if not arguments.aligned:
        raise ConfigError(
            "restore: this version restores aligned faces only; crop and align them as FFHQ does, then add --aligned"
        )
    if arguments.samples < 1:
        raise ConfigError(f"--samples: expected 1 or more, got {arguments.samples}")
    if not 0.0 <= arguments.noise_scale <= 1.0:
        raise ConfigError(f"--noise-scale: expected 0 to 1, got {arguments.noise_scale}")
    if arguments.fidelity is not None and not 0.0 <= arguments.fidelity <= 1.0:
        raise ConfigError(f"--fidelity: expected 0 to 1, got {arguments.fidelity}")
    for path in arguments.input:
        if not os.path.lexists(path):
            raise ConfigError(f"{printable(path)}: no such file or folder")

    from rethink_fr.inference.restore import plan_restoration, restore

    plan = plan_restoration(
        arguments.input, arguments.output, arguments.model, arguments.samples, arguments.texture, arguments.overwrite
    )

    from rethink_fr.inference.loading import load_restorer

    report = restore(
        load_restorer(arguments.model, arguments.precision),
        address(arguments.model),
        plan,
        arguments.noise_scale,
        arguments.seed,
        arguments.fidelity,
    )
    restored = len(report.files) - len(report.failed)
    print(f"{restored} of {len(report.files)} pictures restored; see {printable(arguments.output)}/report.json")
    return report_failures([(file.input, file.error or "") for file in report.failed])
