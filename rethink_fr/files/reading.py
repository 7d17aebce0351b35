"""Reads files that may be hostile: regular files only, and never more than a limit."""

from __future__ import annotations

import csv
import json
import os
import stat
from pathlib import Path
from typing import IO, Any, Iterator, List, Optional, Tuple, Union

from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable

MAX_JSON_BYTES = 256 << 20  # a report of a million pictures has about half of this
MAX_CSV_BYTES = 256 << 20
MAX_CSV_FIELD = 64 << 10  # characters in one cell

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableFile(ValueError):  # noqa: N818 (reads as what happened)
    """A file that cannot be read. `name` says which one, as it was given, and `reason` why, in a few words."""

    def __init__(self, name: Union[str, Path], reason: str) -> None:
        super().__init__(f"{printable(name)}: {reason}")
        self.name = os.fspath(name)
        self.reason = reason


def open_regular(path: Union[str, Path], limit: int) -> IO[bytes]:
    """Open a regular file for reading; a named pipe or device is refused instead of waited for.

    Of an object on a store, what is wrong shows when it is read, by an `OSError`.

    Args:
        path: of the file; symbolic links are followed.
        limit: the largest size that is accepted, in bytes.

    Raises:
        UnreadableFile: if it is not there, not a regular file, larger than `limit`, or may not be read.
    """
    if is_remote(path):
        return stores.open_object(path)
    try:
        # O_NONBLOCK: opening a named pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(path, reason or type(error).__name__) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no file")
        raise UnreadableFile(path, f"is {kind}, expected a regular file")
    if status.st_size > limit:
        os.close(descriptor)
        raise UnreadableFile(path, f"has {status.st_size:,} bytes, expected at most {limit:,}")
    return os.fdopen(descriptor, "rb")


def is_folder(path: Union[str, Path]) -> bool:
    """Whether there is a folder at `path`, on this machine or on an object store."""
    return stores.is_folder(path) if is_remote(path) else os.path.isdir(path)


def file_size(path: Union[str, Path]) -> Optional[int]:
    """Bytes of the file at `path`, on this machine or on an object store; None if there is no regular file."""
    if is_remote(path):
        return stores.size(path)
    return os.stat(path).st_size if os.path.isfile(path) else None


def file_stamp(path: Path) -> Optional[Tuple[int, int]]:
    """Bytes of a file, and when it was last changed, in nanoseconds; None if it is not there."""
    if is_remote(path):
        return stores.stamp(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def folder_names(path: Union[str, Path]) -> List[str]:
    """Names of what is directly in a folder, on this machine or on an object store, sorted.

    Raises:
        OSError: if it cannot be listed.
    """
    return stores.folder_names(path) if is_remote(path) else sorted(os.listdir(path))


def read_bytes(path: Union[str, Path], limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises:
        UnreadableFile: as `open_regular`, or if reading fails.
    """
    data = bytearray()
    with open_regular(path, limit) as file:
        try:
            # In blocks: memory is set aside for as much as is asked for, whatever the size of the file.
            while len(data) <= limit and (block := file.read(1 << 20)):
                data += block
        except OSError as error:
            raise UnreadableFile(path, error.strerror or type(error).__name__) from error
    if len(data) > limit:  # it grew meanwhile
        raise UnreadableFile(path, f"has more than {limit:,} bytes")
    return bytes(data)


def read_text(path: Union[str, Path], limit: int) -> str:
    """Read a UTF-8 text file of at most `limit` bytes; a byte order mark is dropped.

    Raises:
        UnreadableFile: as `read_bytes`, or if it is not UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(path, f"not UTF-8 text (byte {error.start})") from error


def read_json(path: Union[str, Path], what: str, limit: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file, and return its value.

    Args:
        path: of the file.
        what: what was expected, for the message: "a study's key", for example.
        limit: the largest size that is accepted, in bytes.

    Raises:
        UnreadableFile: if it cannot be read, is larger, is nested too deeply, or is not JSON.
    """
    text = read_text(path, limit)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "not a JSON file"
        raise UnreadableFile(path, f"{reason}; expected {what}") from error


def read_csv(path: Union[str, Path], limit: int = MAX_CSV_BYTES) -> Iterator[List[str]]:
    """Read a CSV file in UTF-8, row by row; it is never in memory as a whole.

    Raises:
        UnreadableFile: if it cannot be read, is larger than `limit` bytes, has a cell of more than 65,536 characters,
            or is not CSV in UTF-8.
    """
    with open_regular(path, limit) as file:
        lines = (_decoded(path, number, line) for number, line in enumerate(_bounded_lines(path, file), start=1))
        reader = csv.reader(lines, strict=True)
        try:
            for row in reader:
                if any(len(cell) > MAX_CSV_FIELD for cell in row):
                    raise UnreadableFile(
                        path, f"line {reader.line_num} has a cell of more than {MAX_CSV_FIELD:,} characters"
                    )
                yield row
        except csv.Error as error:
            raise UnreadableFile(path, f"line {reader.line_num} is no CSV ({error})") from error
        except OSError as error:
            raise UnreadableFile(path, error.strerror or type(error).__name__) from error


def _bounded_lines(path: Union[str, Path], file: IO[bytes]) -> Iterator[bytes]:
    longest = 16 * MAX_CSV_FIELD
    for number, line in enumerate(iter(lambda: file.readline(longest + 1), b""), start=1):
        if len(line) > longest:
            raise UnreadableFile(path, f"line {number} has more than {longest:,} bytes")
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _decoded(path: Union[str, Path], number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFile(path, f"line {number} is not UTF-8 text") from error
