"""Files on object stores (`s3://`, `gs://`, `az://`, `hdfs://`), by the file systems of tensorflow-io.

The only module that imports tensorflow-io, and only when an address is used. Objects have no folders, no locks and no
renaming in one step: an object appears whole when it is closed, and that is all that is promised (docs/promises.md).

What TensorFlow's file systems do not tell apart: a store that cannot be reached answers as one that holds nothing.
Before anything is decided by what is *not* there, `listing_before_writing` makes sure.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import io
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from rethink_fr.files.addresses import address

_BLOCK = 1 << 20  # bytes read or written at a time
_READERS = 8  # blocks of one object that are read at once
_PART = 16 << 20  # of an object that is sent in parts; there may be 10,000
_PROBE = ".rfr-probe-"
_NOT_THERE = "nothing is there, or its store cannot be reached: check the address, the credentials and the endpoint"
# Read by the AWS library once. By its own default it waits a minute for a server that refuses, and sets 1.3 GB of
# addresses aside in each direction, for parts of 50 MB. (S3_DISABLE_MULTI_PART_DOWNLOAD=1 would do without the parts,
# but tensorflow-io 0.36 then ends the process by a segmentation fault where a read begins at an object's end.)
_DEFAULTS = {
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "4",
    "S3_MULTI_PART_DOWNLOAD_CHUNK_SIZE": str(_BLOCK),
    "S3_MULTI_PART_UPLOAD_CHUNK_SIZE": str(_PART),
}


@functools.lru_cache(maxsize=1)
def _tensorflow() -> Any:
    """TensorFlow, with the file systems of all schemes known to it."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import tensorflow as tf
    import tensorflow_io  # noqa: F401  (registers the file systems)

    # tensorflow-io 0.35 to 0.37 abort every process that used s3: a static client of the AWS library writes to a log
    # that was destroyed before it (tensorflow/io, issue 1912). So the process ends, with its exit code, before the
    # C++ objects of the libraries loaded until now are destroyed. Handlers run in reverse: C's files are flushed first.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)
    libc.__cxa_atexit(libc.fflush, None, None)
    return tf


@contextlib.contextmanager
def _os_errors(path: Union[str, Path]) -> Iterator[Any]:
    """`tf.io.gfile`; what it raises becomes an `OSError` with the address."""
    tf = _tensorflow()
    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        text = str(error.message or "").strip(": \n")
        number, reason = errno.EIO, text.splitlines()[0][:200] if text else type(error).__name__
        if isinstance(error, tf.errors.NotFoundError):
            number, reason = errno.ENOENT, _NOT_THERE
        elif isinstance(error, (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)):
            number, reason = errno.EACCES, f"not allowed: {reason}"
        raise OSError(number, reason, address(path)) from error


class _Object(io.RawIOBase):
    """An object for reading at any position."""

    def __init__(self, path: Union[str, Path]) -> None:
        self._path = path
        with _os_errors(path) as gfile:
            self._file = gfile.GFile(address(path), "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _os_errors(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _os_errors(self._path):
            self._file.seek(offset, whence=whence)
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_object(path: Union[str, Path]) -> IO[bytes]:
    """An object for reading at any position. That it is not there shows when it is read, by an `OSError`."""
    return io.BufferedReader(_Object(path), 1 << 16)


def blocks(path: Union[str, Path]) -> Iterator[bytes]:
    """The contents of an object from the beginning, a megabyte at a time, several of them read at once.

    By TensorFlow's files, which ask for half a megabyte at a time. Its data sets ask for as much as they are told, but
    using one initialises TensorFlow's devices, which a strategy that is made later may then no longer configure.

    Raises:
        OSError: if it cannot be read.
    """
    total = size(path)
    if total is None:
        raise FileNotFoundError(errno.ENOENT, _NOT_THERE, address(path))

    def part(start: int) -> bytes:
        with _os_errors(path) as gfile, gfile.GFile(address(path), "rb") as file:
            file.seek(start)
            data: bytes = file.read(_BLOCK)
        if len(data) != min(_BLOCK, total - start):
            raise OSError(errno.EIO, "it changed while it was read", address(path))
        return data

    with ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, total, 2 * _READERS * _BLOCK):
            yield from pool.map(part, range(first, min(total, first + 2 * _READERS * _BLOCK), _BLOCK))


def size(path: Union[str, Path]) -> Optional[int]:
    """Bytes of an object; None if there is none of this name (or it cannot be reached)."""
    found = stamp(path)
    return None if found is None else found[0]


def stamp(path: Union[str, Path]) -> Optional[Tuple[int, int]]:
    """Bytes of an object, and when it was written, in nanoseconds; None as `size`."""
    try:
        with _os_errors(path) as gfile:
            status = gfile.stat(address(path))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return None if status.is_directory else (int(status.length), int(status.mtime_nsec))


def is_folder(path: Union[str, Path]) -> bool:
    """Whether there are objects below this address."""
    with _os_errors(path) as gfile:
        return bool(gfile.isdir(address(path)))


def folder_names(path: Union[str, Path]) -> List[str]:
    """Names of the objects and folders directly below an address, sorted; none if there is nothing."""
    try:
        with _os_errors(path) as gfile:
            return sorted({name.rstrip("/") for name in gfile.listdir(address(path))} - {""})
    except OSError as error:
        if error.errno == errno.ENOENT:
            return []
        raise


def names_below(path: Path, surely_file: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
    """Names of all objects below an address, relative to it, in the order of their names.

    Args:
        path: of the folder.
        surely_file: whether a name is that of an object: the store is then not asked, which takes a request each.
    """
    for name in folder_names(path):
        if surely_file(name) or not is_folder(path / name):
            yield name
        else:
            yield from (f"{name}/{below}" for below in names_below(path / name, surely_file))


def write_object(path: Union[str, Path], data: Union[bytes, Path]) -> None:
    """Write bytes, or the contents of a local file, to an object, which appears whole at the end.

    Raises:
        OSError: if it cannot be written.
    """
    with _os_errors(path) as gfile, gfile.GFile(address(path), "wb") as target:
        if isinstance(data, bytes):
            target.write(data)
            return
        with open(data, "rb") as source:
            for block in iter(lambda: source.read(_BLOCK), b""):
                target.write(block)


def remove(path: Union[str, Path]) -> None:
    """Remove an object; it does no harm if there is none."""
    with contextlib.suppress(FileNotFoundError), _os_errors(path) as gfile:
        gfile.remove(address(path))


def listing_before_writing(path: Path) -> List[str]:
    """`names_below` of a folder that is about to be written: "nothing is there" is certain.

    Raises:
        OSError: if the store cannot be reached or written.
    """
    probe = f"{_PROBE}{secrets.token_hex(4)}"
    write_object(path / probe, b"?")
    names = list(names_below(path))
    remove(path / probe)
    if probe not in names:
        raise OSError(errno.EIO, "the store does not list what was just written to it; try again", address(path))
    return [name for name in names if not name.startswith(_PROBE)]


def fetch(path: Path, names: List[str], folder: Path) -> None:
    """Copy objects below an address into a local folder.

    Raises:
        OSError: if one cannot be read or written.
    """
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            for block in blocks(path / name):
                file.write(block)


def put_folder(folder: Path, path: Path, last: str) -> None:
    """Copy a local folder's files to an address, in place of what is there.

    Readers look for the file `last` first: the old one goes before anything else does, the new one comes at the end.

    Raises:
        OSError: if one cannot be written; the folder is then not complete, and lacks `last`.
    """
    old = listing_before_writing(path)
    new: Dict[str, Path] = {
        file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()
    }
    for name in sorted(old, key=lambda name: name != last):
        if name == last or name not in new:
            remove(path / name)
    for name in sorted(new, key=lambda name: (name == last, name)):
        write_object(path / name, new[name])
