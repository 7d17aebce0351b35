"""`rethink-fr degrade` makes degraded pictures of a folder of clean ones, under the same names.

    rethink-fr degrade clean/ --output degraded --seed 1 --set blur_sigma=[0.2,4]

They are blurred, reduced, made noisy and compressed as JPEG (Eq. 13 of the paper). With `--scale 8` or 16 they are only
reduced, by bicubic interpolation, as for super-resolution. `--small FOLDER` also writes the small pictures that were
enlarged to the degraded ones, for methods that enlarge their input themselves. The keys of `--set` are those of the
section `degradation`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite, add_settings
from rethink_fr.errors import report_failures
from rethink_fr.files.names import printable

NAME = "degrade"
SUMMARY = "degrade clean pictures by blur, reduction, noise and JPEG (Eq. 13), or for super-resolution"
EXAMPLE = "rethink-fr degrade clean/ --output degraded --seed 1 --set blur_sigma=[0.2,4]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", type=Path, metavar="INPUT_DIR")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, metavar="K")
    parser.add_argument("--scale", type=int, choices=(8, 16), help="bicubic reduction only, by this factor")
    parser.add_argument(
        "--small", type=Path, metavar="DIR", help="also write the small pictures that were enlarged to the others"
    )
    add_overwrite(parser, "files that are in --output or --small already")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Degrade the pictures, and list those that could not be."""
    from rethink_fr.config.parsing import load_degradation

    degradation = load_degradation(arguments.set, {8: "x8", 16: "x16", None: "blind"}[arguments.scale])

    from rethink_fr.data.degrade_folder import degrade_folder

    report = degrade_folder(
        arguments.input,
        arguments.output,
        arguments.seed,
        degradation,
        degradation.task,
        overwrite=arguments.overwrite,
        small_dir=arguments.small,
    )
    also = f", as small ones to {printable(arguments.small)}" if arguments.small else ""
    print(f"{report.written} pictures written to {printable(report.output)}{also}")
    return report_failures(report.failed)
