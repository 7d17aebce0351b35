"""Encoded pictures and their names: files below a folder, objects on a store, or entries of an LMDB."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, List, NamedTuple, Tuple

from rethink_fr.data.sources.lmdb_file import DATA_NAME, LmdbFile
from rethink_fr.files.addresses import address
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, file_size, read_bytes
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.listing import list_images

_MAX_PICTURE_BYTES = 256 << 20


class PictureFiles(NamedTuple):
    """The pictures below a folder."""

    folder: Path
    names: List[str]  # relative to the folder, with `/` between folders; in order
    contents: Callable[[str], bytes]  # of a name, which need not be one of `names`

    def read(self, name: str) -> Tuple[bytes, str]:
        """Read the bytes of one picture, and compute their SHA-256.

        Raises:
            UnreadableImage: if there is no regular file of this name and of at most 256 MB, or it cannot be read.
        """
        try:
            data = self.contents(name)
        except UnreadableFile as error:
            raise UnreadableImage(address(self.folder / name), error.reason) from error
        return data, hashlib.sha256(data).hexdigest()


def open_picture_files(folder: Path) -> PictureFiles:
    """Find the pictures in a folder.

    An LMDB is a folder that holds `data.mdb`, as BasicSR makes them: its values are encoded pictures, its keys are
    their names. `meta_info.txt` beside it is not needed.

    Raises:
        ValueError: if `folder` is not a folder that can be read, or there are no pictures in it.
        UnreadableFile: if it is a damaged LMDB.
    """
    if file_size(folder / DATA_NAME) is not None:
        lmdb = LmdbFile(folder / DATA_NAME, _MAX_PICTURE_BYTES)
        return PictureFiles(folder, list(lmdb), lmdb.read)
    names = [file.relative_to(folder).as_posix() for file in list_images(folder)]
    return PictureFiles(folder, names, lambda name: read_bytes(folder / name, _MAX_PICTURE_BYTES))


def without_listing(folder: Path) -> PictureFiles:
    """As `open_picture_files`, for one who knows the names: those of files are not listed."""
    if file_size(folder / DATA_NAME) is not None:
        return open_picture_files(folder)
    return PictureFiles(folder, [], lambda name: read_bytes(folder / name, _MAX_PICTURE_BYTES))


def require_pictures(files: PictureFiles) -> PictureFiles:
    """Return `files`, after checking that there are any.

    Raises:
        ValueError: if there are none.
    """
    if not files.names:
        raise ValueError(
            f"{printable(files.folder)}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
        )
    return files
