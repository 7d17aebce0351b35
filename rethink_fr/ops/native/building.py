"""Making a library file: from the sources, in a temporary folder, one process at a time.

A file appears in its folder whole, in one step, and under its final name. So a process that only looks for a library
needs no lock, and one that dies while it builds leaves nothing that another would load.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Iterator, Optional

from rethink_fr.ops.native.compiler import Compiler, compile_library, find_compiler
from rethink_fr.ops.native.errors import CompilationError, NativeOpsError
from rethink_fr.ops.native.files import has_sources, library_path

# What messages say when a build would be possible once something is mended.
BUILD_COMMAND = "`rethink-fr build-ops` builds them"
_WORKSPACE_PREFIX = "building-"
# Seconds that one process waits for another that builds. A build takes about ten of them.
PATIENCE = 300.0


def compiler_for(sources: Path) -> Compiler:
    """The compiler that can build the library from these sources.

    Raises:
        NativeOpsError: if this is not Linux, there are no sources, or there is no compiler.
    """
    if not sys.platform.startswith("linux"):
        raise NativeOpsError(f"they are built on Linux only, this is {sys.platform}")
    if not has_sources(sources):
        raise NativeOpsError(f"their sources are missing in {sources}; install rethink-fr again")
    try:
        return find_compiler()
    except NativeOpsError as error:
        raise NativeOpsError(f"{error}, then {BUILD_COMMAND}") from None


@contextlib.contextmanager
def build_lock(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Let one process at a time build in the folder; the others wait, and say so. It is freed if its holder dies.

    Whoever has the lock removes the workspaces that dead processes have left. On a file system without locks two
    processes may build, and the last file stays.

    Raises:
        LockedError: if another process builds there for longer than `patience` seconds.
    """
    from rethink_fr.files.locks import patient_lock  # which needs what Windows lacks

    with patient_lock(folder / "build.lock", "building the native operators", patience) as held:
        if held:
            _remove_workspaces(folder)
        yield


def clear_workspaces(folder: Path) -> None:
    """Remove the workspaces that dead processes have left, unless a process is building there now.

    A process that dies right after its library has its place leaves a workspace although nothing is to be built.
    """
    if not any(folder.glob(f"{_WORKSPACE_PREFIX}*")):
        return
    from rethink_fr.files.locks import LockedError

    with contextlib.suppress(OSError, LockedError), build_lock(folder, patience=0):
        pass


def _remove_workspaces(folder: Path) -> None:
    for left in folder.glob(f"{_WORKSPACE_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`: on the same file system, so that a file is moved out of it in one step."""
    path = Path(tempfile.mkdtemp(prefix=_WORKSPACE_PREFIX, dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def build_library(
    compiler: Compiler, sources: Path, work: Path, folder: Path, name: str, log: Optional[Path] = None
) -> Path:
    """Compile in the folder `work`, then move the library into `folder`.

    Args:
        compiler: from `compiler_for(sources)`.
        sources: the folder of the sources.
        work: a temporary folder on the same file system as `folder`.
        folder: where the library goes.
        name: how its name begins.
        log: the file for the output of a compiler that fails; None makes a new temporary file.

    Returns:
        The path of the library.

    Raises:
        NativeOpsError: if the compiler fails. The message names the log.
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
    made.chmod(0o755)  # with some umasks other users could write to it
    path = library_path(folder, name, made)
    os.replace(made, path)
    return path
