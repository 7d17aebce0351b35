"""The command line `rethink-fr`: lists the commands, runs one, and tells what went wrong in one line.

Nothing here imports TensorFlow; a command does when it runs. Help and mistakes in a call are answered at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from typing import Optional, Sequence

from rethink_fr import __version__, errors
from rethink_fr.commands import (
    app,
    build_ops,
    completion,
    convert_vqfr,
    degrade,
    doctor,
    evaluate,
    experiment,
    export,
    info,
    prepare,
    restore,
    runs,
    study,
    train,
    weights,
)

COMMANDS = (
    train,
    doctor,
    runs,
    restore,
    app,
    evaluate,
    experiment,
    study,
    degrade,
    prepare,
    export,
    build_ops,
    convert_vqfr,
    weights,
    completion,
    info,
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command.

    Args:
        arguments: what follows `rethink-fr` on the command line; None takes those of this process.

    Returns:
        The exit code: 0 if all was done, 1 if something failed, 2 for a mistake in the call or the configuration, 75 if
        training was stopped by SIGTERM and can go on.
    """
    _escape_what_cannot_be_printed()
    parsed = _parser().parse_args(arguments)
    _silence_warnings()
    try:
        return parsed.run(parsed)
    except KeyboardInterrupt:
        print("rethink-fr: interrupted", file=sys.stderr)
        return errors.FAILED
    except Exception as error:
        described = errors.describe(error)
        if described is None or os.environ.get("RETHINK_FR_DEBUG"):
            raise
        message, code = described
        _tell(f"rethink-fr: error: {message}")
        return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rethink-fr",
        description="Blind face restoration in TensorFlow.",
        epilog="Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"rethink-fr {__version__}")
    parser.set_defaults(parser=parser)  # for `completion`, which describes all of it
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = verbs.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
            epilog=f"example: {command.EXAMPLE}",
        )
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser


def _tell(line: str) -> None:
    """Print a line on stderr; if a progress bar stands there, above it."""
    tqdm = sys.modules.get("tqdm")
    if tqdm is None:
        print(line, file=sys.stderr)
    else:
        tqdm.tqdm.write(line, file=sys.stderr)


def _escape_what_cannot_be_printed() -> None:
    """Print characters that the terminal's encoding lacks, in the name of a file say, as escapes instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_warnings() -> None:
    """Keep tensorflow-addons' end-of-life notice, and what Pillow finds odd in pictures, off the terminal."""
    warnings.filterwarnings("ignore", module="tensorflow_addons")
    warnings.filterwarnings("ignore", module="PIL")
