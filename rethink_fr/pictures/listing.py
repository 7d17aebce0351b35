"""Finds the image files of a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, Set, Union

from rethink_fr.files.names import printable

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def list_images(folder: Union[str, Path]) -> List[Path]:
    """List the image files below `folder`, at any depth, sorted by their path in it.

    Files and folders whose name begins with a dot are left out. Linked folders are followed, each real folder once.
    Whatever has the name of an image is listed, and so is a folder that this user may not list: reading it will say
    what is wrong with it.

    Raises:
        ValueError: if `folder` is not a folder that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"{printable(folder)}: no such folder; expected a folder of images ({', '.join(IMAGE_SUFFIXES)})"
        )
    try:
        return sorted(_walk(folder), key=lambda path: path.relative_to(folder).parts)
    except OSError as error:
        raise ValueError(f"{printable(folder)}: cannot be listed ({error.strerror}); check its permissions") from error


def _walk(folder: Path) -> Iterator[Path]:
    unlisted: List[Path] = []

    def note(error: OSError) -> None:
        if error.filename is None or Path(error.filename) == folder:
            raise error
        unlisted.append(Path(error.filename))

    seen: Set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(parent, name)
    yield from unlisted
