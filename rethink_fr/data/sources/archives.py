"""Pictures in archives (zip and tar, also those that webdataset writes), read at any place and without trusting them.

Nothing is unpacked to the disk. A name in an archive is only a name here, wherever it points to.
"""

from __future__ import annotations

import os
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

from rethink_fr.files.reading import UnreadableFile, file_size, open_regular
from rethink_fr.pictures.listing import IMAGE_SUFFIXES

ARCHIVE_SUFFIXES = (".zip", ".tar")
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

_MAX_BYTES = 1 << 46
_MAX_MEMBERS = 1 << 26
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


class _Place(NamedTuple):
    offset: int
    length: int


class Archive:
    """The pictures in an archive: their names in order, and the bytes of each. Safe to read from many threads.

    A picture is a regular file that ends as pictures do and of whose path no part begins with a dot. Of several with
    one name the last counts, as for programs that unpack. Links, and files with holes, are left out.

    Args:
        path: of a `.zip` or `.tar` file, on this machine or on an object store.

    Raises:
        UnreadableFile: if it is no such archive, damaged, truncated or compressed as a whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path.name.lower().endswith(COMPRESSED_SUFFIXES):
            raise UnreadableFile(path, "a compressed tar, in which no place can be found; decompress it to .tar first")
        self._file = open_regular(path, _MAX_BYTES)
        self._places: Dict[str, Union[_Place, zipfile.ZipInfo]] = {}
        try:
            if path.name.lower().endswith(".zip"):
                self._zip = zipfile.ZipFile(self._file)
                self._places.update((info.filename, info) for info in self._zip.infolist() if not info.is_dir())
            else:
                self._places.update(self._members())
        except _DAMAGED as error:
            raise self._damaged(error) from error
        self._places = {name: place for name, place in self._places.items() if _is_picture(name)}

    @property
    def names(self) -> List[str]:
        """Paths in the archive, sorted as those of files in folders are."""
        return sorted(self._places, key=lambda name: name.split("/"))

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a picture.

        Raises:
            UnreadableFile: if there is none of this name, it has more than `limit` bytes, or it cannot be read.
        """
        place = self._places.get(name)
        if place is None:
            raise UnreadableFile(self._path, f"has no picture {name!r}")
        length = place.length if isinstance(place, _Place) else place.file_size
        if length > limit:
            raise UnreadableFile(self._path, f"has {length:,} bytes, expected at most {limit:,}")
        try:
            if isinstance(place, _Place):
                with self._lock:
                    self._file.seek(place.offset)
                    data = self._file.read(length)
                if len(data) != length:
                    raise EOFError("it became shorter")
                return data
            if place.flag_bits & 1:
                raise UnreadableFile(self._path, "is encrypted")
            with self._zip.open(place) as member:  # a ZipFile has a lock of its own; it checks the CRC at the end
                data = member.read(limit + 1)
        except UnreadableFile:
            raise
        except (*_DAMAGED, RuntimeError) as error:
            raise self._damaged(error) from error
        if len(data) != length:
            raise UnreadableFile(self._path, f"has {len(data):,} bytes or more where {length:,} were announced")
        return data

    def _members(self) -> Iterator[Tuple[str, _Place]]:
        """The regular files of a tar, from header to header."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        with tarfile.open(fileobj=self._file, mode="r:") as tar:
            for number, member in enumerate(tar):
                tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
                if number >= _MAX_MEMBERS:
                    raise ValueError("it has too many members")
                if member.offset_data + member.size > size:
                    raise EOFError("it ends inside a member")
                if member.isreg() and not member.issparse():
                    yield member.name, _Place(member.offset_data, member.size)
            end = tar.offset
        # The library stops without a word at a header that is damaged or cut off; a whole tar ends in zeros.
        self._file.seek(end)
        if self._file.read(512) != bytes(512):
            raise EOFError("a header is damaged, or its end is missing")

    def _damaged(self, error: Exception) -> UnreadableFile:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return UnreadableFile(self._path, f"a damaged archive, or none ({reason}); copy it again")


class ArchiveTree:
    """The pictures below a folder, in archives there too; or those of one archive.

    A picture in an archive has the archive's path before its own: `shards/000.tar/0001.jpg`. If the whole is one
    archive, names are those in it.

    Args:
        root: the folder, or the archive.
        limit: bytes that a picture in an archive may have.

    Attributes:
        is_archive: whether the whole is one archive.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self._root = root
        self._limit = limit
        self.is_archive = is_archive(root) and file_size(root) is not None
        self._opened: Dict[Path, Archive] = {}
        self._lock = threading.Lock()

    def archive(self, path: Path) -> Archive:
        """Open an archive, once."""
        with self._lock:
            if path not in self._opened:
                self._opened[path] = Archive(path)
            return self._opened[path]

    def names_in(self, archive: Path) -> List[str]:
        """Names of the pictures in an archive below the root. A damaged one is a name itself, which cannot be read.

        Raises:
            UnreadableFile: if it is the root, and damaged.
        """
        below = "" if self.is_archive else archive.relative_to(self._root).as_posix()
        try:
            return [f"{below}/{name}" if below else name for name in self.archive(archive).names]
        except UnreadableFile:
            if not below:
                raise
            return [below]

    def split(self, name: str) -> Tuple[Path, str]:
        """The file that holds a picture, and the picture's path in it, "" if the file is the picture."""
        if self.is_archive:
            return self._root, name
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            path = self._root.joinpath(*parts[:count])
            if is_archive(path) and (path in self._opened or file_size(path) is not None):
                return path, "/".join(parts[count:])
        return self._root / name, ""

    def read(self, name: str) -> bytes:
        """The bytes of a picture in an archive, or of a damaged archive's name.

        Raises:
            UnreadableFile: if it cannot be read.
        """
        path, inner = self.split(name)
        return self.archive(path).read(inner, self._limit)


def is_archive(path: Path) -> bool:
    """Whether a file of this name is an archive."""
    return path.name.lower().endswith((*ARCHIVE_SUFFIXES, *COMPRESSED_SUFFIXES))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not any(part.startswith(".") for part in name.split("/") if part)
