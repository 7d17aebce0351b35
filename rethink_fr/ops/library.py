"""Files of the native library: their names, the folder that keeps them, and how one comes into being.

A name says all that the library was made from, and a checksum of what it holds:
`native-tf2.15.1-SOURCES-COMPILER-CHECKSUM.so`. So a file is never out of date, only another one; and one that was cut
short is told before it is loaded, which matters because the dynamic loader may crash on it.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

import tensorflow as tf

from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.ownership import NotPrivateError, require_private
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.ops.compiler import (
    UNIT,
    CompilationError,
    Compiler,
    NativeOpsError,
    compile_library,
    own_flags,
    tensorflow_identity,
)

# Files that a wheel carries begin so; beside the modules of this folder they must not look like one.
CARRIED_PREFIX = "_native"
_CACHED_PREFIX = "native"
_BUILDING_PREFIX = "building-"
_MAX_BYTES = 1 << 30


class Found(NamedTuple):
    """Libraries of one name in one folder."""

    usable: List[Path]  # whole, and nobody else could have put them there; the newest first
    refused: List[str]  # why others are not used: somebody else could have


def carried_name(sources: Path) -> str:
    """How the name of a library begins that a wheel carries; where there are no sources, any for this TensorFlow."""
    return f"{CARRIED_PREFIX}-{_made_from(sources)}"


def cached_name(sources: Path, compiler: Optional[Compiler]) -> str:
    """How the name of a library begins that was built on this machine; no compiler stands for any."""
    name = f"{_CACHED_PREFIX}-{_made_from(sources)}"
    if compiler is None:
        return name
    return f"{name}-{_digest('|'.join([*compiler.command, compiler.version]).encode())[:8]}"


def has_sources(sources: Path) -> bool:
    """Whether the folder holds what can be compiled."""
    return (sources / UNIT).is_file()


def libraries(folder: Path, name: str) -> Found:
    """Files of the folder whose name begins so and whose contents fit their checksum."""
    usable, refused = [], []
    for path in _files(folder, name):
        try:
            require_private(folder)
            require_private(path)
        except NotPrivateError as error:
            refused.append(str(error))
        except OSError:  # it went away meanwhile, or cannot be looked at
            continue
        else:
            if _is_whole(path):
                usable.append(path)
    return Found(usable, list(dict.fromkeys(refused)))


def remove_damaged(folder: Path, name: str) -> List[Path]:
    """Remove files whose name begins so and whose contents do not fit their checksum; returns which."""
    damaged = [path for path in _files(folder, name) if not _is_whole(path)]
    for path in damaged:
        path.unlink()
    return damaged


@contextlib.contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """One process at a time; the others wait. Released by the system if its holder dies.

    Workspaces that are there when the lock is had are of processes that died, and are removed.
    """
    import fcntl

    descriptor = os.open(folder / "build.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(descriptor, 0o600)  # who can read it can hold the lock
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: two may build, and the last one stays
        else:
            for left in folder.glob(f"{_BUILDING_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same file system, so that what is made in it can be moved in one step."""
    path = Path(tempfile.mkdtemp(prefix=_BUILDING_PREFIX, dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def build_library(
    compiler: Compiler, sources: Path, work: Path, folder: Path, name: str, log: Optional[Path] = None
) -> Path:
    """Compile in `work`, then move the library into `folder` under a name that begins so. Returns its path.

    Args:
        compiler, sources: what compiles what.
        work: a temporary folder on the file system of `folder`.
        folder, name: where the library goes, and how its name begins.
        log: file for what a compiler says that fails; None: a new temporary file.

    Raises:
        NativeOpsError: if the compiler fails; the message says where its log is.
    """
    made = work / "library.so"
    try:
        compile_library(compiler, sources, made)
    except CompilationError as error:
        if log is None:
            descriptor, made_log = tempfile.mkstemp(prefix="rethink-fr-build-", suffix=".log")
            os.close(descriptor)
            log = Path(made_log)
        log.write_text(error.log, encoding="utf-8")
        raise NativeOpsError(f"{error}; the full log is {log}") from error
    made.chmod(0o755)  # whatever the umask lets others do
    path = folder / f"{name}-{_checksum(made)}.so"
    os.replace(made, path)
    return path


def _files(folder: Path, name: str) -> List[Path]:
    try:
        return sorted(folder.glob(f"{glob.escape(name)}-*.so"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:  # one went away meanwhile, or the folder cannot be read
        return []


def _is_whole(path: Path) -> bool:
    try:
        return path.stem.rpartition("-")[2] == _checksum(path)
    except UnreadableFile:
        return False


def _made_from(sources: Path) -> str:
    """`tf2.15.1-HASH`: of the sources, our flags, TensorFlow's build and the kind of machine."""
    version = f"tf{tf.__version__}"
    if not has_sources(sources):
        return version
    parts = [platform.system(), platform.machine(), *own_flags(), *tensorflow_identity()]
    for path in sorted(sources.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            parts += [path.name, _digest(path.read_bytes())]
    return f"{version}-{_digest('|'.join(parts).encode())[:12]}"


def _checksum(path: Path) -> str:
    return file_sha256(path, limit=_MAX_BYTES)[:12]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
