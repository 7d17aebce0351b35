"""Lets one process at a time work in a folder. The system releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from pathlib import Path
from typing import Iterator

from rethink_fr.files.names import printable

_POLL = 0.2  # seconds
_FIRST_WORD, _NEXT_WORD = 2.0, 30.0  # seconds until a process that waits says so, and until it says so again


class LockedError(ValueError):
    """Another process holds the lock; the message names it."""


@contextlib.contextmanager
def exclusive_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock for the length of the block.

    The lock file stays afterwards; it means nothing by itself. On a file system without locks nothing is locked.

    Args:
        path: of the lock file; its folder must exist.
        what: what is locked, for the message: "this run", for example.

    Raises:
        LockedError: if another process holds it.
        OSError: if the file cannot be opened.
    """
    with _opened(path, 0o644) as descriptor:
        try:
            _take(descriptor)
        except BlockingIOError:
            raise LockedError(
                f"{printable(path.parent)}: {what} is in use by {_holder(descriptor)}; wait for it"
            ) from None
        yield


@contextlib.contextmanager
def patient_lock(path: Path, work: str, patience: float) -> Iterator[bool]:
    """Hold a lock for the length of the block; wait for it as long as another process of this user holds it.

    After two seconds, and then now and again, a line on stderr says who is waited for, and how long it has been at it.

    Args:
        path: of the lock file, which other users cannot open; its folder must exist.
        work: what the holder of the lock does, for messages: "building the native operators", for example.
        patience: seconds to wait at most.

    Yields:
        Whether the lock is held: on a file system without locks nothing is locked.

    Raises:
        LockedError: if another process held it all the time.
        OSError: if the file cannot be opened.
    """
    with _opened(path, 0o600) as descriptor:
        started, next_word = time.monotonic(), _FIRST_WORD
        while True:
            try:
                held = _take(descriptor)
                break
            except BlockingIOError:
                waited = time.monotonic() - started
            # The holder wrote its name into the file when it began.
            since = max(0.0, time.time() - os.fstat(descriptor).st_mtime)
            if waited >= patience:
                folder = printable(path.parent)
                raise LockedError(
                    f"{folder}: {_holder(descriptor)} has been {work} for {since:.0f} s; wait for it, or end it"
                )
            if waited >= next_word:
                line = f"rethink-fr: waiting for {_holder(descriptor)}, which has been {work} for {since:.0f} s"
                print(line, file=sys.stderr, flush=True)
                next_word = waited + _NEXT_WORD
            time.sleep(_POLL)
        yield held


def is_locked(path: Path) -> bool:
    """Whether a process holds the `exclusive_lock` of this file; False if the file is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared and for a moment only: others who look are not disturbed, and hardly anybody who begins just now.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _opened(path: Path, mode: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        if mode == 0o600:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)  # another user who can open the file could hold the lock
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Take the lock, and write into the file who has it; False on a file system without locks.

    Raises:
        BlockingIOError: if another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return True


def _holder(descriptor: int) -> str:
    return printable(os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process")
