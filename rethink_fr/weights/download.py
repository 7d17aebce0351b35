"""Fetches a file over HTTP: it continues where it broke off, is checked, and is there completely or not at all.

Ours, because pooch always starts over, and requests would replace one call: what is here is what both of them lack.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO, Iterator, Optional
from urllib.parse import urlsplit

from tqdm import tqdm

from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.names import printable
from rethink_fr.files.writing import sync_folder

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without an answer


class DownloadError(ValueError):
    """A file that could not be fetched. The message is one line that says why and what to do."""


def download(url: str, path: Path, sha256: Optional[str] = None, progress: bool = True) -> str:
    """Fetch `url` to `path`, which is replaced in one step once its checksum is right.

    What an earlier attempt received is kept beside it as `NAME.part`, and only the rest is asked for.

    Args:
        url: its address, http or https.
        path: where it goes; the folder is made.
        sha256: the checksum that is expected; None: any.
        progress: show a bar on stderr if it takes longer than two seconds.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: if the server cannot be reached, refuses or stops early, or if the file is another one or cannot
            be written.
    """
    try:
        return _download(url, path, sha256, progress)
    except OSError as error:
        raise DownloadError(
            f"{printable(path)}: cannot be written ({error.strerror or error}); make room there, or set "
            "RETHINK_FR_CACHE to another folder, then run the same command again"
        ) from None


def _download(url: str, path: Path, sha256: Optional[str], progress: bool) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _opened(part) as file:
        with _locked(file, path):
            try:
                _receive(url, file, progress)
            except (http.client.HTTPException, OSError, EOFError) as error:
                raise DownloadError(_explained(url, path, file, error)) from None
            finally:
                if not file.tell():
                    part.unlink()  # nothing to continue from
            found = file_sha256(part)
            if sha256 is not None and found != sha256:
                part.unlink()
                raise DownloadError(
                    f"{url}: what came has the SHA-256 {found}, expected {sha256}; it was removed, "
                    "try again, or get the file elsewhere"
                )
            os.fsync(file.fileno())
            os.replace(part, path)
            sync_folder(path.parent)
    return found


def _opened(part: Path) -> BinaryIO:
    """The file to append to. A link or a pipe of that name is refused, because somebody else put it there."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o644)
    except OSError as error:
        raise DownloadError(f"{printable(part)}: cannot be written ({error.strerror}); remove it") from None
    return os.fdopen(descriptor, "ab", buffering=0)  # so that a full disk is told here, not when it is closed


def _receive(url: str, file: BinaryIO, progress: bool) -> None:
    """Ask the server for what is missing of `file`, and append it."""
    start = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "rethink-fr"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return  # all of it is here already
        _start_over(file)  # what is here is longer than the file: it is part of another one
        return _receive(url, file, progress)
    with response:
        if start and not _continues(response, start):
            start = 0
            _start_over(file)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        with tqdm(
            desc=f"fetching {Path(urlsplit(url).path).name}",
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            delay=2,
            disable=not progress,
        ) as bar:
            for chunk in iter(lambda: response.read(_CHUNK), b""):
                _write(file, chunk)
                bar.update(len(chunk))
    if total is not None and file.tell() < total:
        raise EOFError(f"{file.tell():,} of {total:,} bytes came")


def _write(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _start_over(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Whether the server sends the rest of the file, rather than all of it again."""
    given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status == http.client.PARTIAL_CONTENT and given is not None and int(given[1]) == start


@contextlib.contextmanager
def _locked(file: BinaryIO, path: Path) -> Iterator[None]:
    """Lets one process in at a time. If that process dies, the system releases the lock."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadError(f"{path.name}: another process is fetching it; wait for that one") from None
    except OSError:
        pass  # a file system without locks
    yield


def _explained(url: str, path: Path, file: BinaryIO, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{url}: the server answered {error.code} {error.reason}; get the file elsewhere and put it at {path}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if file.tell():
        return f"{url}: broke off ({reason}); run the same command again, it continues where it stopped"
    return f"{url}: cannot be reached ({reason}); without a connection, fetch it elsewhere and put it at {path}"
