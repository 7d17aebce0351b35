"""Which native library is used, and why.

In this order:

1. the file that a wheel carries, if it was built from these sources for this TensorFlow;
2. a file in the user's cache that this machine built earlier from these sources;
3. a file that is built now and kept in the cache, if there is a compiler. If the cache cannot be written, it is built
   for this process only.

If none of these can be had, there is no native library, and TensorFlow's own operations do the work. A file that
another user could have written is never loaded.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Callable, List, Optional, Set

from rethink_fr.files.cache import OTHER_CACHE, cache_directory
from rethink_fr.files.ownership import NotPrivateError, make_private_folder, require_private
from rethink_fr.ops.native.building import (
    BUILD_COMMAND,
    build_library,
    build_lock,
    clear_workspaces,
    compiler_for,
    workspace,
)
from rethink_fr.ops.native.compiler import Compiler, find_compiler
from rethink_fr.ops.native.errors import NativeOpsError
from rethink_fr.ops.native.files import (
    CARRIED_PREFIX,
    cached_name,
    carried_name,
    has_sources,
    libraries,
    remove_damaged,
)
from rethink_fr.ops.native.loading import LoadedLibrary, LoadError, load_library

_OPS = Path(__file__).parents[1]
_CARRIED = "carried by this installation"
_BUILT = "built on this machine"
_BUILT_FOR_THIS_PROCESS = "built for this process only"


class NativeLibrary:
    """Finds, builds and loads the native library, once. Several threads and processes may do so at the same time.

    Args:
        sources: the folder of the C++ sources.
        carried: the folder where a wheel puts the library that it carries.
        cache: the folder for libraries that this machine builds; it is made when it is needed.

    Example:
        >>> library = NativeLibrary()
        >>> library.load().origin
        'built on this machine'
    """

    def __init__(self, sources: Path = _OPS / "cc", carried: Path = _OPS, cache: Optional[Path] = None) -> None:
        self.sources, self.carried = sources, carried
        self.cache = cache_directory() if cache is None else cache
        self._lock = threading.Lock()
        self._loaded: Optional[LoadedLibrary] = None
        self._failure: Optional[str] = None  # of the first `load`
        self._passed_over: Set[Path] = set()  # files that cannot be loaded, or that `build` shall replace
        self._problems: List[str] = []  # why files were not used, for messages

    def load(self) -> LoadedLibrary:
        """Load the library, and build it first if there is none. Later calls repeat the first answer or error.

        Raises:
            NativeOpsError: if there is no library and none can be built.
        """
        with self._lock:
            if self._loaded is None and self._failure is not None:
                raise NativeOpsError(self._failure)
            try:
                return self._found() or self._build(keep=False)
            except NativeOpsError as error:
                self._failure = str(error)
                raise

    def look(self) -> Optional[LoadedLibrary]:
        """Load the library if there is one. Builds nothing and changes no file; returns None if `load` would build.

        Raises:
            NativeOpsError: if there is no library and none can be built.
        """
        with self._lock:
            found = self._find()
            if found is None:
                self._compiler()
                if self.cache.exists():
                    self._private_cache(require_private)
            return found

    def build(self, force: bool = False) -> LoadedLibrary:
        """Load the library, and build it first, for later processes too, if there is none.

        Args:
            force: build it even if this machine has built it before.

        Raises:
            NativeOpsError: if it cannot be built, kept in the cache, and loaded.
        """
        with self._lock:
            if force:
                self._passed_over.update(libraries(self.cache, cached_name(self.sources, self._compiler())).usable)
            return self._found() or self._build(keep=True)

    def _found(self) -> Optional[LoadedLibrary]:
        """As `_find`; what builds that were killed have left is cleared, since no later build would do it."""
        found = self._find()
        if found is not None:
            clear_workspaces(self.cache)
        return found

    def _find(self) -> Optional[LoadedLibrary]:
        """The library that is loaded already, that the installation carries, or that was built earlier."""
        if self._loaded is not None:
            return self._loaded
        self._problems = []
        self._use_first(self.carried, carried_name(self.sources), _CARRIED)
        if not self._loaded and any(self.carried.glob(f"{CARRIED_PREFIX}-*.so")) and not self._problems:
            self._note(
                "the library that this installation carries is damaged, or for another TensorFlow or other sources"
            )
        if has_sources(self.sources):
            try:
                compiler: Optional[Compiler] = find_compiler()
            except NativeOpsError:
                compiler = None  # what a compiler built here before it was removed is still good
            self._use_first(self.cache, cached_name(self.sources, compiler), _BUILT)
        return self._loaded

    def _use_first(self, folder: Path, name: str, origin: str) -> None:
        """Load the first library in the folder that has this name and can be loaded, unless one is loaded already."""
        if self._loaded is not None:
            return
        found = libraries(folder, name)
        for refused in found.refused:
            self._note(refused)
        for path in found.usable:
            if self._loaded is None and path not in self._passed_over:
                self._use(path, origin)

    def _use(self, path: Path, origin: str) -> None:
        try:
            self._loaded = load_library(path, origin)
        except NotPrivateError as error:
            self._note(str(error))
        except LoadError as error:
            self._passed_over.add(path)
            self._note(str(error))

    def _build(self, keep: bool) -> LoadedLibrary:
        """Build the library and load it. `keep`: it must stay for later processes."""
        compiler = self._compiler()
        name = cached_name(self.sources, compiler)
        from rethink_fr.files.locks import LockedError  # which needs what Windows lacks

        try:
            self._build_in_cache(compiler, name)
        except LockedError as error:
            if keep:
                raise self._error(str(error)) from error
            self._note(str(error))
            self._build_for_this_process(compiler, name)
        except OSError as error:
            problem = (
                f"{self.cache} cannot be written ({error.strerror or error}); set RETHINK_FR_CACHE to another folder"
            )
            if keep:
                raise self._error(problem) from error
            self._note(problem)
            self._build_for_this_process(compiler, name)
        if self._loaded is None:
            raise self._error("what was built does not fit this TensorFlow; set CXX to another compiler")
        return self._loaded

    def _build_in_cache(self, compiler: Compiler, name: str) -> None:
        cache = self._private_cache(make_private_folder)
        with build_lock(cache), workspace(cache) as work:
            for damaged in remove_damaged(cache, name):
                self._note(f"{damaged.name} was damaged")
            self._use_first(cache, name, _BUILT)  # another process has built it while this one waited for the lock
            if self._loaded is None:
                self._say(compiler, "once for this machine")
                path = self._compile(compiler, work, cache, name, cache / "build.log")
                for replaced in self._passed_over.intersection(libraries(cache, name).usable):
                    replaced.unlink()
                self._use(path, _BUILT)

    def _build_for_this_process(self, compiler: Compiler, name: str) -> None:
        """Build in a temporary folder. Better than the slow operations, although every process must do it again."""
        self._say(compiler, "for this process only")
        with workspace(Path(tempfile.gettempdir())) as work:  # a loaded library needs its file no longer
            try:
                require_private(work)
            except NotPrivateError as error:
                raise self._error(f"{error}, or set TMPDIR to a folder of your own") from None
            self._use(self._compile(compiler, work, work, name, None), _BUILT_FOR_THIS_PROCESS)

    def _compile(self, compiler: Compiler, work: Path, folder: Path, name: str, log: Optional[Path]) -> Path:
        try:
            path = build_library(compiler, self.sources, work, folder, name, log)
        except NativeOpsError as error:
            raise self._error(f"{error}; once that is mended, {BUILD_COMMAND}") from error
        self._passed_over.discard(path)  # it may have the name of a file that it replaces
        return path

    def _compiler(self) -> Compiler:
        try:
            return compiler_for(self.sources)
        except NativeOpsError as error:
            raise self._error(str(error)) from None

    def _private_cache(self, require: Callable[[Path], Path]) -> Path:
        try:
            return require(self.cache)
        except NotPrivateError as error:
            raise self._error(f"{error}, or {OTHER_CACHE}") from None

    def _note(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)

    def _error(self, problem: str) -> NativeOpsError:
        """The error that names all problems, `problem` last. It may repeat one of the others and add advice to it."""
        others = [other for other in self._problems if not problem.startswith(other)]
        return NativeOpsError("; ".join(["no native operators", *others, problem]))

    def _say(self, compiler: Compiler, occasion: str) -> None:
        line = f"rethink-fr: building the native operators with {compiler.version}, {occasion}"
        print("; ".join([line, *self._problems]), file=sys.stderr, flush=True)
