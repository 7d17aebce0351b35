"""Lets one process at a time work in a folder. The system releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import Iterator

from rethink_fr.files.names import printable


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
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            raise LockedError(
                f"{printable(path.parent)}: {what} is in use by {printable(holder)}; wait for it"
            ) from None
        except OSError:
            pass  # a file system without locks
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


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
