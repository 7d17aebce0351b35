"""Finds the image files of a folder, on this machine or on an object store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, NamedTuple, Set, Tuple, Union

from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.reading import is_folder

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Listed(NamedTuple):
    """The files below a folder, each sorted by its path in it."""

    images: List[Path]
    others: List[Path]  # whose names are not those of images


def list_images(folder: Union[str, Path]) -> List[Path]:
    """List the image files below `folder`, at any depth, sorted by their path in it.

    Files and folders whose name begins with a dot are left out. Linked folders are followed, each real folder once.
    Whatever has the name of an image is listed, and so is a folder that this user may not list: reading it will say
    what is wrong with it.

    Raises:
        ValueError: if `folder` is not a folder that can be read.
    """
    return list_files(folder).images


def list_files(folder: Union[str, Path], suffixes: Tuple[str, ...] = IMAGE_SUFFIXES) -> Listed:
    """List the files below `folder`, those of other kinds too. For what is listed, and errors, see `list_images`.

    Args:
        folder: to look in.
        suffixes: of the names of images, in small letters.
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise ValueError(f"{printable(folder)}: no such folder; expected a folder of images ({', '.join(suffixes)})")
    listed = Listed([], [])
    try:
        for path, is_image in _objects(folder, suffixes) if is_remote(folder) else _walk(folder, suffixes):
            (listed.images if is_image else listed.others).append(path)
    except OSError as error:
        raise ValueError(f"{printable(folder)}: cannot be listed ({error.strerror}); check its permissions") from error
    for paths in listed:
        paths.sort(key=lambda path: path.relative_to(folder).parts)
    return listed


def _objects(folder: Path, suffixes: Tuple[str, ...]) -> Iterator[Tuple[Path, bool]]:
    """As `_walk`, below an address."""
    for name in stores.names_below(folder, lambda name: name.lower().endswith(suffixes)):
        if not any(part.startswith(".") for part in name.split("/")):
            yield folder / name, name.lower().endswith(suffixes)


def _walk(folder: Path, suffixes: Tuple[str, ...]) -> Iterator[Tuple[Path, bool]]:
    """Every file, and whether it has the name of an image."""
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
            if not name.startswith("."):
                yield Path(parent, name), name.lower().endswith(suffixes)
    yield from ((path, True) for path in unlisted)
