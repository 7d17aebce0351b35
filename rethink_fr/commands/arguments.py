"""Arguments that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, Sequence, Union

from rethink_fr.config.checks import ConfigError
from rethink_fr.files.names import printable


def add_overwrite(parser: argparse._ActionsContainer, what: str) -> None:
    """Declare `--overwrite`; `what` says in the help what it replaces."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what}; never what is read")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare `--set KEY=VALUE`, which may be given several times."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; may be repeated"
    )


def add_resize(parser: argparse.ArgumentParser) -> None:
    """Declare `--resize`, which takes a number of pixels or nothing (then its value is "reference")."""
    parser.add_argument(
        "--resize",
        nargs="?",
        type=_resize,
        const="reference",
        metavar="PIXELS",
        help="make all pictures squares of PIXELS; without a number, give those of unequal sizes that of their "
        "reference. By Lanczos, of the central square, as restore and train make theirs",
    )


def names(text: str) -> List[str]:
    """The names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def methods(folders: Sequence[str]) -> Dict[str, Path]:
    """Read the values of `--restored`, `NAME=DIR NAME=DIR ...`: folders by name. A single DIR is called "restored".

    Raises:
        ConfigError: if one of several has no name, or a name is there twice.
    """
    if len(folders) == 1 and ("=" not in folders[0] or Path(folders[0]).is_dir()):
        return {"restored": Path(folders[0])}
    methods: Dict[str, Path] = {}
    for given in folders:
        name, equals, folder = given.partition("=")
        if not equals or not name.strip() or not folder:
            raise ConfigError(f"--restored {printable(given)}: expected NAME=DIR for each of several methods")
        if name in methods:
            raise ConfigError(
                f"--restored {printable(given)}: there is a method of that name before it; choose another name"
            )
        methods[name] = Path(folder)
    return methods


def _resize(text: str) -> Union[int, str]:
    if text == "reference":  # what argparse passes for the option without a number
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of pixels, or nothing") from None


def add_runner(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Declare what does the work on many machines: `--runner` and its options. Returns their group."""
    from rethink_fr.scale_out.runners import RUNNERS

    group = parser.add_argument_group("many machines (docs/scale_out.md)")
    group.add_argument(
        "--runner", choices=tuple(RUNNERS), help="do it as an Apache Beam pipeline; direct: in this process"
    )
    group.add_argument(
        "--runner-options",
        default="",
        metavar="TEXT",
        help="of the runner, as Beam takes them: '--flink_master=HOST:8081 --environment_type=DOCKER'",
    )
    return group
