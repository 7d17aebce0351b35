"""Who is on pictures of CelebA and CelebA-HQ, from the two lists in the form in which they are published.

`identity_CelebA.txt` of CelebA (Liu et al. 2015) has no head, and a line `000001.jpg 2880` for each picture.
`CelebA-HQ-to-CelebA-mapping.txt` of CelebAMask-HQ (Lee et al. 2020) has the columns `idx orig_idx orig_file`, between
spaces: picture 0 of CelebA-HQ is 119614.jpg of CelebA. The list of CelebA-HQ itself (Karras et al. 2018) has the same
three columns and two of checksums.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Dict, Iterable, List, Optional, Sequence, Union

from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_csv

_LINE = re.compile(r"(\d+)\.\w+\s+(\d+)")  # of the list of identities
_COLUMNS = ("idx", "orig_file")


def is_identity_list(row: Sequence[str]) -> bool:
    """Whether the first row of a CSV file is the first line of CelebA's list of identities."""
    return len(row) == 1 and _LINE.fullmatch(row[0].strip()) is not None


def celeba_identities(
    path: Union[str, Path], rows: Iterable[List[str]], names: Sequence[str], mapping: Optional[Union[str, Path]] = None
) -> Dict[str, str]:
    """The identities that CelebA's list gives for pictures of these names; those that it does not have are left out.

    Only the last part of a name counts: `test/000001` is CelebA's 000001.jpg. With a mapping it is the number of a
    picture of CelebA-HQ, with or without leading zeros: `test/00012` is number 12.

    Args:
        path: of the list, for errors.
        rows: its lines, each as a row of one cell.
        names: of pictures, without endings.
        mapping: the file that says which picture of CelebA each one of CelebA-HQ is; None: they are CelebA's own.

    Raises:
        ValueError: naming the file and the line that is none of such a list.
    """
    people: Dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        found = _LINE.fullmatch(row[0].strip()) if len(row) == 1 else None
        if found is None and row:
            raise ValueError(f"{printable(path)}: line {number} is not of CelebA's list; expected '000001.jpg 2880'")
        if found is not None and people.setdefault(found[1], found[2]) != found[2]:
            raise ValueError(f"{printable(path)}: line {number} gives {found[1]} another identity than a line before")
    originals = None if mapping is None else _read_mapping(mapping)
    found_of: Dict[str, str] = {}
    for name in names:
        last = PurePosixPath(name).name
        if originals is not None:
            last = originals.get(int(last), "") if last.isascii() and last.isdigit() else ""
        if last in people:
            found_of[name] = people[last]
    return found_of


def _read_mapping(path: Union[str, Path]) -> Dict[int, str]:
    """The name in CelebA, without ending, of each picture of CelebA-HQ."""
    shown, lines = printable(path), (" ".join(row).split() for row in read_csv(path))
    head = next(lines, [])
    if not set(_COLUMNS) <= set(head):
        raise ValueError(f"{shown}: expected a first line 'idx orig_idx orig_file', and one for each picture")
    number_at, file_at = (head.index(column) for column in _COLUMNS)
    originals: Dict[int, str] = {}
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        if len(cells) != len(head) or not cells[number_at].isdecimal():
            raise ValueError(f"{shown}: line {number} has not a number and a file for {', '.join(head)}")
        originals[int(cells[number_at])] = PurePosixPath(cells[file_at]).stem
    return originals
