"""`rethink-fr info`: what runs here, and what the networks of a configuration cost."""

from __future__ import annotations

import argparse

from rethink_fr.commands.arguments import add_settings
from rethink_fr.commands.outcome import OK

NAME = "info"
SUMMARY = "show versions, devices and places, and what a configuration's networks cost"
EXAMPLE = "rethink-fr info --config rethink_512"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--config", metavar="FILE_OR_NAME", help="count the parameters and arithmetic of its networks")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from rethink_fr.inference.description import describe

    for name, value in describe(arguments.config, arguments.set):
        print(f"{name:18} {value}")
    return OK
