"""The native library: where it is found, and what takes its place.

In this order: the file that a wheel carries, if it was built from these sources for this TensorFlow; one built earlier
on this machine; one built now, if there is a compiler; else none, and TensorFlow's own operations do the work. What
somebody else could have put there is not loaded.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, Callable, List, Literal, NamedTuple, Optional, Set

import tensorflow as tf

from rethink_fr.files.cache import OTHER_CACHE, CacheError, cache_directory
from rethink_fr.files.ownership import NotPrivateError, make_private_folder, require_private
from rethink_fr.ops.compiler import Compiler, NativeOpsError, find_compiler
from rethink_fr.ops.library import (
    CARRIED_PREFIX,
    build_library,
    build_lock,
    cached_name,
    carried_name,
    has_sources,
    libraries,
    remove_damaged,
    workspace,
)

Implementation = Literal["auto", "reference", "compiled"]

# What the library may hold; in its module each is called `rethink_fr_NAME`.
OPERATORS = ("deform_conv2d", "group_norm_swish")
_PACKAGE = Path(__file__).parent
_BUILD = "`rethink-fr build-ops` builds them"


class LoadedLibrary(NamedTuple):
    """The native library in this process."""

    module: Any
    path: Path
    origin: str  # "carried by this installation", "built on this machine", "built for this process only"
    functions: Any  # its C functions, by ctypes

    def has(self, operator: str) -> bool:
        """Whether one of `OPERATORS` is in it."""
        return hasattr(self.module, f"rethink_fr_{operator}")

    def instruction_set(self) -> str:
        """What its CPU kernels use: "avx512", "avx2" or "baseline"; the best that this processor has, if not told."""
        function = self.functions.rethink_fr_instruction_set
        function.restype = ctypes.c_char_p
        return function().decode()

    def use_instruction_set(self, name: str) -> bool:
        """Use another one from now on, to test and to compare; False, and no change, if there is none of that name."""
        return bool(self.functions.rethink_fr_use_instruction_set(name.encode()))


class NativeLibrary:
    """Finds, builds and loads the native library, once; safe to use from several threads and processes.

    Args:
        sources: folder of the C++ sources.
        carried: folder where a wheel puts the library it carries.
        cache: folder for libraries built on this machine; made when needed.
    """

    def __init__(self, sources: Path = _PACKAGE / "cc", carried: Path = _PACKAGE, cache: Optional[Path] = None) -> None:
        self.sources, self.carried = sources, carried
        self.cache = cache_directory() if cache is None else cache
        self._lock = threading.Lock()
        self._loaded: Optional[LoadedLibrary] = None
        self._failure: Optional[str] = None
        self._unloadable: Set[Path] = set()
        self._problems: List[str] = []

    def load(self) -> LoadedLibrary:
        """The library, built now if there is none. The answer, be it an error, is remembered.

        Raises:
            NativeOpsError: if there is none and none can be built.
        """
        with self._lock:
            if self._loaded is None and self._failure is not None:
                raise NativeOpsError(self._failure)
            try:
                return self._find() or self._build_and_load(keep=False)
            except NativeOpsError as error:
                self._failure = str(error)
                raise

    def look(self) -> Optional[LoadedLibrary]:
        """The library if there is one; builds nothing, changes no file.

        Raises:
            NativeOpsError: if there is none and none can be built.
        """
        with self._lock:
            found = self._find()
            if found is None:
                self._compiler()
                if self.cache.exists():
                    self._private_cache(require_private)
            return found

    def build(self, force: bool = False) -> LoadedLibrary:
        """The library, built now and kept for later processes if there is none, or anyway if `force` is set.

        Raises:
            NativeOpsError: if it cannot be built, kept and loaded.
        """
        with self._lock:
            if force:
                self._unloadable.update(libraries(self.cache, cached_name(self.sources, self._compiler())).usable)
            return self._find() or self._build_and_load(keep=True)

    def _find(self) -> Optional[LoadedLibrary]:
        if self._loaded is not None:
            return self._loaded
        self._problems = []
        self._try_all(self.carried, carried_name(self.sources), "carried by this installation")
        if not self._loaded and any(self.carried.glob(f"{CARRIED_PREFIX}-*.so")) and not self._problems:
            self._problems.append(
                "the library that this installation carries is damaged, or for another TensorFlow or other sources"
            )
        if has_sources(self.sources):
            try:
                compiler: Optional[Compiler] = find_compiler()
            except NativeOpsError:
                compiler = None  # what was built here before the compiler went is still good
            self._try_all(self.cache, cached_name(self.sources, compiler), "built on this machine")
        return self._loaded

    def _try_all(self, folder: Path, name: str, origin: str) -> None:
        if self._loaded is not None:
            return
        found = libraries(folder, name)
        self._problems += found.refused
        for path in found.usable:
            self._try(path, origin)

    def _try(self, path: Path, origin: str) -> None:
        if self._loaded is not None or path in self._unloadable:
            return
        try:
            file = str(require_private(path))
            module = tf.load_op_library(file)
        except NotPrivateError as error:
            self._problems.append(str(error))
        except (tf.errors.OpError, OSError, RuntimeError) as error:
            self._unloadable.add(path)
            self._problems.append(f"{path.name} cannot be loaded ({_first_line(error)})")
        else:
            # Loaded already: ctypes gets the same one.
            self._loaded = LoadedLibrary(module, path, origin, ctypes.CDLL(file))

    def _compiler(self) -> Compiler:
        """The compiler, if there is something to compile."""
        problem = None
        if not sys.platform.startswith("linux"):
            problem = f"they are built on Linux only, this is {sys.platform}"
        elif not has_sources(self.sources):
            problem = f"their sources are missing in {self.sources}; install rethink-fr again"
        else:
            try:
                return find_compiler()
            except NativeOpsError as error:
                problem = f"{error}, then {_BUILD}"
        raise self._error(problem)

    def _error(self, problem: str) -> NativeOpsError:
        others = [other for other in self._problems if not problem.startswith(other)]
        return NativeOpsError("; ".join(["no native operators", *others, problem]))

    def _private_cache(self, require: Callable[[Path], Path]) -> Path:
        try:
            return require(self.cache)
        except NotPrivateError as error:
            raise self._error(f"{error}, or {OTHER_CACHE}") from None

    def _build_and_load(self, keep: bool) -> LoadedLibrary:
        compiler = self._compiler()
        name = cached_name(self.sources, compiler)
        try:
            cache = self._private_cache(make_private_folder)
            with build_lock(cache), workspace(cache) as work:
                self._problems += [f"{path.name} was damaged" for path in remove_damaged(cache, name)]
                for path in libraries(cache, name).usable:  # another process was faster
                    self._try(path, "built on this machine")
                if self._loaded is None:
                    self._say(compiler, "once for this machine")
                    path = self._build(compiler, work, cache, name, cache / "build.log")
                    for replaced in self._unloadable.intersection(libraries(cache, name).usable):
                        replaced.unlink()
                    self._try(path, "built on this machine")
        except OSError as error:
            problem = (
                f"{self.cache} cannot be written ({error.strerror or error}); set RETHINK_FR_CACHE to another folder"
            )
            if keep:
                raise self._error(problem) from error
            self._build_for_this_process(compiler, name, problem)
        if self._loaded is None:
            raise self._error("what was built does not fit this TensorFlow; set CXX to another compiler")
        return self._loaded

    def _build_for_this_process(self, compiler: Compiler, name: str, problem: str) -> None:
        """Better a build at every start than the slow way, and a line that says how to have it once."""
        self._problems.append(problem)
        self._say(compiler, "for this process only")
        with workspace(Path(tempfile.gettempdir())) as work:  # once loaded, the file itself is not needed any more
            try:
                require_private(work)
            except NotPrivateError as error:
                raise self._error(f"{error}, or set TMPDIR to a folder of your own") from None
            self._try(self._build(compiler, work, work, name, None), "built for this process only")

    def _build(self, compiler: Compiler, work: Path, folder: Path, name: str, log: Optional[Path]) -> Path:
        try:
            path = build_library(compiler, self.sources, work, folder, name, log)
        except NativeOpsError as error:
            raise self._error(f"{error}; once that is mended, {_BUILD}") from error
        self._unloadable.discard(path)  # the same name as one that was replaced
        return path

    def _say(self, compiler: Compiler, occasion: str) -> None:
        line = f"rethink-fr: building the native operators with {compiler.version}, {occasion}"
        print("; ".join([line, *self._problems]), file=sys.stderr, flush=True)


_process_lock = threading.Lock()
_library: Optional[NativeLibrary] = None
_warned = False


def native_library() -> NativeLibrary:
    """The one of this process."""
    global _library
    with _process_lock:
        if _library is None:
            _library = NativeLibrary()
        return _library


@tf.autograph.experimental.do_not_convert  # called while graphs are traced: files, locks and compilers are no graph's
def native_ops(required: bool = False) -> Optional[Any]:
    """The module of native operators; None if there is none and none is `required`, with one warning that says why.

    The first call may build them: a line on stderr says so. The environment variable RETHINK_FR_OPS=reference forbids
    native operators, and with them a compiler at work in the first call.

    Raises:
        NativeOpsError: if they are `required` and cannot be had.
        ValueError: if RETHINK_FR_OPS is neither unset, nor `auto` nor `reference`.
    """
    global _warned
    if forbidden():
        if required:
            raise NativeOpsError("no native operators; RETHINK_FR_OPS=reference forbids them; unset it")
        return None
    try:
        return native_library().load().module
    except (NativeOpsError, CacheError) as error:
        if required:
            raise NativeOpsError(str(error)) from None
        with _process_lock:
            first, _warned = not _warned, True
        if first:
            warnings.warn(
                f"{error}. TensorFlow's own operations take their place, slower",
                RuntimeWarning,
                stacklevel=4,  # the line that calls the operation; do_not_convert is one level
            )
        return None


def forbidden() -> bool:
    """Whether the environment variable RETHINK_FR_OPS forbids native operators."""
    choice = os.environ.get("RETHINK_FR_OPS") or "auto"
    if choice not in ("auto", "reference"):
        raise ValueError(f"RETHINK_FR_OPS is {choice!r}, expected auto or reference")
    return choice == "reference"


def instruction_set() -> str:
    """What the CPU kernels of this process use: "avx512", "avx2" or "baseline". NativeOpsError if there are none."""
    return native_library().load().instruction_set()


def use_instruction_set(name: str) -> bool:
    """Use another one from now on, to test and to compare; False, and no change, if there is none of that name."""
    return native_library().load().use_instruction_set(name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
