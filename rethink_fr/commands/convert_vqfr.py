"""`rethink-fr convert-vqfr`: published PyTorch weights to a run directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.commands.outcome import OK
from rethink_fr.config.checks import ConfigError
from rethink_fr.files.names import printable

NAME = "convert-vqfr"
SUMMARY = "turn the published PyTorch weights of VQFR into a run directory (needs the extra 'convert')"
EXAMPLE = "rethink-fr convert-vqfr VQFR_v2.pth --output runs/vqfr_v2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pth")
    parser.add_argument("--output", required=True, type=Path, metavar="RUN_DIR")
    add_overwrite(parser, "a converted network that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    if not arguments.checkpoint.is_file():
        raise ConfigError(f"{printable(arguments.checkpoint)}: no such file")

    from rethink_fr.runs.convert import convert

    report = convert(arguments.checkpoint, arguments.output, arguments.overwrite)
    print(f"{printable(report.output)}: {report.network}, {report.parameters:,} parameters")
    return OK
