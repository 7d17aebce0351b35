"""Encoded pictures and their names: files below a folder, objects on a store, entries of an LMDB or of archives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

from rethink_fr.data.sources.archives import ArchiveTree, is_archive
from rethink_fr.data.sources.lmdb_file import DATA_NAME, LmdbFile
from rethink_fr.files.addresses import address
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, file_size, read_bytes
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.listing import list_files, list_images

_MAX_PICTURE_BYTES = 256 << 20


class PictureFiles(NamedTuple):
    """The pictures below a folder."""

    folder: Path
    names: List[str]  # relative to the folder, with `/` between folders; in order
    contents: Callable[[str], bytes]  # of a name, which need not be one of `names`
    archive_of: Callable[[str], Optional[Path]] = lambda name: None  # the file that a picture is in, if it is not one

    def holder(self, name: str) -> Path:
        """The file that holds a picture: the picture's own, or an archive or LMDB."""
        return self.archive_of(name) or self.folder / name

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
        return PictureFiles(folder, list(lmdb), lmdb.read, lambda name: folder / DATA_NAME)
    names = [file.relative_to(folder).as_posix() for file in list_images(folder)]
    return PictureFiles(folder, names, lambda name: read_bytes(folder / name, _MAX_PICTURE_BYTES))


def open_with_archives(place: Path, listing: bool = True) -> PictureFiles:
    """As `open_picture_files`, also of a zip or tar file, and with the pictures in those below a folder.

    Args:
        place: the folder, archive or LMDB.
        listing: whether the names are wanted.

    Raises:
        ValueError: as `open_picture_files`.
        UnreadableFile: if it is a damaged archive or LMDB.
    """
    if file_size(place / DATA_NAME) is not None:
        return open_picture_files(place)
    tree = ArchiveTree(place, _MAX_PICTURE_BYTES)
    if tree.is_archive:
        return PictureFiles(place, tree.names_in(place) if listing else [], tree.read, lambda name: place)
    names: List[str] = []
    if listing:
        files = list_files(place)
        names = [path.relative_to(place).as_posix() for path in files.images]
        archived = [name for path in files.others if is_archive(path) for name in tree.names_in(path)]
        if archived:
            names = sorted([*names, *archived], key=lambda name: name.split("/"))

    def archive_of(name: str) -> Optional[Path]:
        path, inner = tree.split(name)
        return path if inner or is_archive(path) else None

    def contents(name: str) -> bytes:
        return read_bytes(place / name, _MAX_PICTURE_BYTES) if archive_of(name) is None else tree.read(name)

    return PictureFiles(place, names, contents, archive_of)


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
