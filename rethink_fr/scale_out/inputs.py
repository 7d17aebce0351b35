"""Lists what a call reads: files and folders on this machine, objects and what is below addresses on a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Set, Tuple

from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.reading import file_size, is_folder
from rethink_fr.pictures.listing import list_files
from rethink_fr.scale_out.output import below


class Inputs(NamedTuple):
    """What is read."""

    files: List[Tuple[Path, Path]]  # each with the name that its outputs are called after
    skipped: int  # how many files in the folders are of other kinds


def list_inputs(given: Iterable[Path], output: Path, suffixes: Tuple[str, ...]) -> Inputs:
    """List files, and those of some kinds below folders, in the order that the local command has them in.

    What lies below `output` is no input.

    Raises:
        ValueError: if something is not there, or a folder holds nothing of these kinds.
    """
    files: Dict[str, Tuple[Path, Path]] = {}
    skipped = 0
    for one in given:
        if file_size(one) is not None:
            found = [(one, Path(one.name))]
        elif is_folder(one):
            listed = list_files(one, suffixes)
            own: Set[Path] = set(below((*listed.images, *listed.others), output)) if below([output], one) else set()
            images = [path for path in listed.images if path not in own]
            skipped += sum(path not in own for path in listed.others)
            if not images:
                raise ValueError(f"{printable(one)}: holds no files ending in {', '.join(suffixes)}, at any depth")
            found = [(path, path.relative_to(one)) for path in images]
        else:
            raise ValueError(f"{printable(one)}: no such file or folder, or its store cannot be reached")
        for path, name in found:  # one may be given twice
            files.setdefault(input_name(path), (path, name))
    return Inputs(list(files.values()), skipped)


def input_name(path: Path) -> str:
    """By what workers, and later calls, know a file: its address, or its absolute path."""
    return address(path) if is_remote(path) else os.path.abspath(path)
