"""Encoded pictures and their names: files below a folder, objects on a store, or entries of an LMDB."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, List, NamedTuple, Tuple

from rethink_fr.data.sources.lmdb_file import DATA_NAME, LmdbFile
from rethink_fr.files import stores
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, file_size, read_bytes
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.listing import IMAGE_SUFFIXES, list_images

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
        files = PictureFiles(folder, list(lmdb), lmdb.read)
    elif is_remote(folder):
        names = [name for name in stores.names_below(folder, _is_picture) if _is_picture(name)]
        files = PictureFiles(folder, names, lambda name: read_bytes(folder / name, _MAX_PICTURE_BYTES))
    else:
        names = [file.relative_to(folder).as_posix() for file in list_images(folder)]
        files = PictureFiles(folder, names, lambda name: read_bytes(folder / name, _MAX_PICTURE_BYTES))
    return files


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


def _is_picture(name: str) -> bool:
    parts = name.split("/")
    return name.lower().endswith(IMAGE_SUFFIXES) and not any(part.startswith(".") for part in parts)
