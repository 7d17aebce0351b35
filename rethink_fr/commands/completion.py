"""`rethink-fr completion` prints a script that lets the Tab key complete commands, options, choices and files.

    rethink-fr completion bash

`source <(rethink-fr completion bash)` gives the script to this shell. It holds everything, so that completing starts no
Python. After an update of the package, make it again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Iterator

from rethink_fr.errors import OK

NAME = "completion"
SUMMARY = "print a script that completes commands, options, choices and files on Tab"
EXAMPLE = "rethink-fr completion bash"

_FOLDERS = ("DIR", "[NAME=]DIR", "FOLDER", "INPUT_DIR", "RUN_DIR")
_FILES = ("FILE_OR_NAME",)  # beside those whose type is Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    """Print the script for the whole command line, which `arguments.parser` describes."""
    import shtab

    for action in _actions(arguments.parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type is Path or action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(arguments.parser, arguments.shell))
    return OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser, and of the parsers of its verbs."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)
