"""File names as text that can be printed, stored and read back.

Python holds a file name that is not UTF-8 as a string with lone surrogates (PEP 383), which no encoder accepts. In JSON
these are written as the escapes `\\udc80` to `\\udcff`, from which every JSON reader restores the same string.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence, Union

from rethink_fr.files.addresses import address


def printable(name: Union[str, Path]) -> str:
    """Return `name` on one line of valid Unicode: bytes that are not UTF-8, and control characters, become escapes.

    Example:
        >>> printable("caf\\udce9\\n.png")
        'caf\\\\udce9\\\\n.png'
    """
    shown = "".join(character if character.isprintable() else _escaped(character) for character in address(name))
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def listed_names(names: Sequence[Union[str, Path]], shown: int = 3) -> str:
    """Name the first few of some files for a message, and say how many more there are.

    Example:
        >>> listed_names(["a.png", "b.png", "c.png", "d.png", "e.png"])
        'a.png, b.png, c.png and 2 more'
    """
    first = ", ".join(printable(name) for name in names[:shown])
    return first if len(names) <= shown else f"{first} and {len(names) - shown:,} more"
