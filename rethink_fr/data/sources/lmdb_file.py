"""An LMDB file, read without trusting it: its keys, and any value at any time.

Our own reader, since the others map the file into memory and follow it where it points: measured, a truncated or
hostile file ends the process (SIGBUS) in `lmdb` 3.0 and in tensorflow-io's dataset, which besides reads in one order
only. This one checks each number before it is followed, and reads files on object stores too.

The format, from LMDB's `mdb.c` (all numbers little-endian, on a 64-bit machine). A file is a row of pages. Pages 0 and
1 each hold a "meta": the one with the larger transaction counts. It names the root page of a B-tree, whose leaves hold
the keys in order, each with its value or with the number of the first of the overflow pages that hold the value.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from rethink_fr.files.reading import UnreadableFile, open_regular

DATA_NAME = "data.mdb"

_HEADER = 16  # bytes of a page before its entries: number (8), unused (2), flags (2), lower and upper bound (2 + 2)
_BRANCH, _LEAF, _DIRTY = 0x01, 0x02, 0x10  # flags of pages
_BIG, _SUB_DATABASE, _DUPLICATES = 0x01, 0x02, 0x04  # flags of leaf entries
_MAGIC, _VERSIONS = 0xBEEFC0DE, (1, 999)
_NO_PAGE = (1 << 64) - 1
_MAX_FILE_BYTES = 1 << 46
_MAX_DEPTH = 32  # of LMDB's own cursors
_MAX_KEYS = 1 << 26


class _Meta(NamedTuple):
    transaction: int
    page_size: int
    root: int
    entries: int


class LmdbFile:
    """The keys of an LMDB's main database as text, and their values. Safe to read from many threads.

    Args:
        path: of `data.mdb`.
        limit: bytes that a value may have.

    Raises:
        UnreadableFile: if it is no LMDB, truncated, or cannot be true.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._file = open_regular(path, _MAX_FILE_BYTES)
        try:
            self._size = self._file.seek(0, os.SEEK_END)
            meta = self._newest_meta()
            self._page_size = meta.page_size
            self._places: Dict[str, Tuple[int, int]] = {}  # offset and length of each value
            if meta.root != _NO_PAGE:
                self._walk(meta)
        except OSError as error:
            raise UnreadableFile(path, error.strerror or type(error).__name__) from error
        if len(self._places) != meta.entries:
            raise self._damaged(f"{len(self._places):,} keys, expected {meta.entries:,}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def read(self, key: str) -> bytes:
        """The value of a key.

        Raises:
            UnreadableFile: if there is none, it is larger than `limit`, or cannot be read.
        """
        if key not in self._places:
            raise UnreadableFile(self._path, f"has no key {key!r}")
        offset, length = self._places[key]
        if length > self._limit:
            raise UnreadableFile(self._path, f"has {length:,} bytes, expected at most {self._limit:,}")
        try:
            return self._bytes(offset, length)
        except OSError as error:
            raise UnreadableFile(self._path, error.strerror or type(error).__name__) from error

    def _bytes(self, offset: int, length: int) -> bytes:
        if offset + length > self._size:
            raise self._damaged("truncated, or it points beyond its end")
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(length)
        if len(data) != length:
            raise self._damaged("it became shorter")
        return data

    def _newest_meta(self) -> _Meta:
        first = self._meta(0)
        return max(first, self._meta(first.page_size))

    def _meta(self, offset: int) -> _Meta:
        if self._size < offset + _HEADER + 136:
            raise UnreadableFile(self._path, "not an LMDB file, or truncated")
        data = self._bytes(offset + _HEADER, 136)
        magic, version, _, _ = struct.unpack_from("<IIQQ", data)
        if magic != _MAGIC or version not in _VERSIONS:
            raise UnreadableFile(self._path, "not an LMDB file")
        (page_size,) = struct.unpack_from("<I", data, 24)  # stands in the record of the database of free pages
        if page_size & (page_size - 1) or not 256 <= page_size <= 1 << 16:
            raise self._damaged(f"pages of {page_size:,} bytes")
        entries, root, _, transaction = struct.unpack_from("<QQQQ", data, 24 + 48 + 32)
        return _Meta(transaction, page_size, root, entries)

    def _walk(self, meta: _Meta) -> None:
        """Note the place of every value, from the leftmost leaf to the rightmost."""
        if meta.entries > _MAX_KEYS:
            raise self._damaged(f"{meta.entries:,} keys")
        waiting: List[Tuple[int, int]] = [(meta.root, 1)]  # pages and their depths
        visited = 0
        while waiting:
            number, depth = waiting.pop()
            visited += 1
            if depth > _MAX_DEPTH or visited > self._size // self._page_size:
                raise self._damaged("its pages point at each other")
            page = self._page(number)
            flags, entries = self._entries(page)
            if flags & _BRANCH:
                children = [struct.unpack_from("<HHH", page, at) for at in entries]
                waiting += [(low | high << 16 | top << 32, depth + 1) for low, high, top in reversed(children)]
            elif flags & _LEAF and not flags & ~(_LEAF | _DIRTY):
                for at in entries:
                    self._note(number, page, at)
            else:
                raise self._damaged(f"page {number} is of kind {flags:#x}")

    def _page(self, number: int) -> bytes:
        return self._bytes(number * self._page_size, self._page_size)

    def _entries(self, page: bytes) -> Tuple[int, List[int]]:
        """A page's flags, and where in it each entry begins."""
        flags, lower, _ = struct.unpack_from("<HHH", page, 10)
        count = (lower - _HEADER) // 2
        if not 0 <= count <= (self._page_size - _HEADER) // 2:
            raise self._damaged("a page's bounds lie outside of it")
        entries = list(struct.unpack_from(f"<{count}H", page, _HEADER))
        if any(at + 8 > self._page_size for at in entries):
            raise self._damaged("an entry lies outside its page")
        return flags, entries

    def _note(self, number: int, page: bytes, at: int) -> None:
        low, high, flags, key_bytes = struct.unpack_from("<HHHH", page, at)
        start, length = at + 8 + key_bytes, low | high << 16
        if flags & (_SUB_DATABASE | _DUPLICATES):
            raise UnreadableFile(self._path, "holds named databases or several values of a key; expected pictures only")
        if start + (8 if flags & _BIG else length) > self._page_size:
            raise self._damaged("a key or value lies outside its page")
        try:
            key = page[at + 8 : start].decode("utf-8")
        except UnicodeDecodeError:
            raise UnreadableFile(self._path, "has a key that is no UTF-8 text; expected names of pictures") from None
        offset = number * self._page_size + start
        if flags & _BIG:
            (first,) = struct.unpack_from("<Q", page, start)
            offset = first * self._page_size + _HEADER
        if offset + length > self._size:
            raise self._damaged("truncated, or it points beyond its end")
        if not _is_name(key) or key in self._places:
            raise UnreadableFile(self._path, f"has a key that is no name of a picture, or is there twice: {key[:80]!r}")
        self._places[key] = (offset, length)

    def _damaged(self, what: str) -> UnreadableFile:
        return UnreadableFile(self._path, f"a damaged LMDB file ({what}); copy it again")


def _is_name(key: str) -> bool:
    return "\0" not in key and all(part not in ("", ".", "..") for part in key.split("/"))
