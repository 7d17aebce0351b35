"""Writes files that are there whole or not at all, whatever happens meanwhile.

Everything is written under a short hidden name in the same folder (`.rfr-PID-RANDOM.tmp`), synced to disk, and moved
to its place in one step; then the folder is synced. A process that is killed leaves the old file, or the new one, and
at most one hidden file, which `clear_temporary` removes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any, Iterator, Union

from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable

_PREFIX = ".rfr-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_TEMPORARY = re.compile(r"\.rfr-(\d+)-[0-9a-f]{8}\.tmp")


class WriteError(ValueError):
    """Something that could not be written. The message gives its name, the system's reason and what to do."""


class LongNameError(WriteError):
    """A name that is too long for the file system. Only this one output cannot be written; others can."""

    def __init__(self, path: Union[str, Path], reason: str) -> None:
        super().__init__(f"{printable(path)}: {reason}")
        self.reason = reason


def temporary_path(folder: Path) -> Path:
    """Choose a hidden name in `folder` that nothing has. It is short, however long the name of the target is."""
    return folder / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}.tmp"


@contextlib.contextmanager
def atomic_file(path: Union[str, Path], replace: bool = True, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file to write to. It becomes `path` when the block ends without an exception.

    Args:
        path: of the file; its folder is made.
        replace: whether a file that is there already may be replaced.
        sync: whether to wait until it is on the disk. Without, it may be empty after the machine has crashed.

    Raises:
        WriteError: naming `path` and the system's reason, also if it is there and `replace` is not set.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path.parent)
        try:
            with open(temporary, "xb") as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                _move_to_new(temporary, path)
            if sync:
                sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise write_error(path, error) from error


def write_bytes(path: Union[str, Path], data: Union[bytes, memoryview], replace: bool = True) -> None:
    """Write `data` to `path`: readers see the old file or the whole new one. See `atomic_file`."""
    with atomic_file(path, replace) as file:
        file.write(data)


def write_text(path: Union[str, Path], text: str, replace: bool = True) -> None:
    """Write text in UTF-8, as `write_bytes`. File names that are not Unicode are written as escapes (see `names`)."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), replace)


def write_json(path: Union[str, Path], value: Any, replace: bool = True) -> None:
    """Write `value` as JSON, as `write_text`. Names that are not Unicode can be read back from it as they were."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", replace)


@contextlib.contextmanager
def new_folder(path: Union[str, Path], replace: bool = False, last: str = "") -> Iterator[Path]:
    """Make a hidden folder beside `path`, to be filled. It becomes `path` when the block ends without an exception.

    Everything in it is synced to the disk first. If `replace` is set and `path` is there, the two change places in one
    step, and then the old one is removed; otherwise `path` must not exist, or must be an empty folder.

    An address on an object store cannot be filled in one step: its objects are written one after the other from a
    local folder, the one called `last`, without which the others are of no use to readers, at the end.

    Raises:
        WriteError: naming `path` and the system's reason.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="rethink-fr-") as folder:
            yield Path(folder)
            try:
                stores.put_folder(Path(folder), Path(path), last)
            except OSError as error:
                raise write_error(path, error) from error
        return
    path = Path(path).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_temporary(path.parent)
        temporary = temporary_path(path.parent)
        temporary.mkdir(mode=0o777)
        try:
            yield temporary
            sync_tree(temporary)
            if replace and path.exists():
                _exchange(temporary, path)  # what is removed below is then the old folder
            else:
                os.rename(temporary, path)  # fails on a folder that holds something
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise write_error(path, error) from error


def sync_tree(folder: Path) -> None:
    """Wait until every file below `folder`, and the folders themselves, are on the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync_file(Path(parent, name))
        sync_folder(Path(parent))


def sync_file(path: Path) -> None:
    """Wait until the contents of a file are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. File systems that cannot do this are left alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def clear_temporary(folder: Path, held: bool = False) -> None:
    """Remove what processes of this machine that were killed left in `folder` under the hidden names of this module.

    Args:
        folder: to look in; not in the folders below it.
        held: whether this process holds a lock on the folder, so that nobody else can be writing there. Then all hidden
            files are removed: in a container the process that was killed often had the same number as this one.
    """
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        found = _TEMPORARY.fullmatch(entry.name)
        if found is None or not held and _is_alive(int(found[1])):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.unlink()


def check_writable(path: Union[str, Path], option: str = "--output") -> None:
    """Find out, before long work, whether its result could be written to `path`.

    A hidden file is made in the folder, or in the nearest one above it that exists, and removed again.

    Raises:
        WriteError: naming `path`, the system's reason and `option`.
    """
    path = Path(path).absolute()
    try:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)  # a name that is too long, or a folder that is a file
        folder = path.parent
        while not os.path.lexists(folder):
            folder = folder.parent
        clear_temporary(folder)  # of a process that was killed between the next two lines
        temporary = temporary_path(folder)
        with open(temporary, "xb"):
            temporary.unlink()
    except OSError as error:
        raise write_error(path, error, option) from error


def write_error(path: Union[str, Path], error: OSError, option: str = "--output") -> WriteError:
    """Make a `WriteError` of what the system said, with advice that fits; `option` is how the user named the path."""
    advice = f"choose another {option}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = f"make room there, or choose another {option}"
    elif error.errno == errno.EEXIST:
        advice = f"choose another {option}, or add --overwrite"
    elif error.errno == errno.ENAMETOOLONG:
        return LongNameError(path, f"cannot be written ({error.strerror}); shorten the name")
    return WriteError(f"{printable(path)}: cannot be written ({error.strerror or error}); {advice}")


def _move_to_new(temporary: Path, path: Path) -> None:
    """Give the file its name, unless something has that name already. A hard link does both in one step."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise
        if os.path.lexists(path):  # a file system without hard links: look first, which leaves a moment in between
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(temporary, path)


def _exchange(one: Path, other: Path) -> None:
    """Exchange what two names stand for, in one step. Python has no call for it."""
    import ctypes  # takes milliseconds, and few calls need it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
