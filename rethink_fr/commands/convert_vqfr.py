"""`rethink-fr convert-vqfr` turns the PyTorch weights that the authors of VQFR published into a run directory.

    rethink-fr convert-vqfr VQFR_v2.pth --output runs/vqfr_v2

`restore` and `export` take the run directory, and `train --init` starts from it. Version and stage of the network are
recognised by the names of its weights. PyTorch is needed for this command only: the extra `convert` installs it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import OK
from rethink_fr.files.names import printable

NAME = "convert-vqfr"
SUMMARY = "turn the published PyTorch weights of VQFR into a run directory (needs the extra 'convert')"
EXAMPLE = "rethink-fr convert-vqfr VQFR_v2.pth --output runs/vqfr_v2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pth")
    parser.add_argument("--output", required=True, type=Path, metavar="RUN_DIR")
    add_overwrite(parser, "a converted network that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Convert the weights, and print which network they are of."""
    if not arguments.checkpoint.is_file():
        raise ConfigError(f"{printable(arguments.checkpoint)}: no such file")

    from rethink_fr.runs.convert import convert

    report = convert(arguments.checkpoint, arguments.output, arguments.overwrite)
    print(f"{printable(report.output)}: {report.network}, {report.parameters:,} parameters")
    return OK
