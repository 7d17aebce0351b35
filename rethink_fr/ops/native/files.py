"""Files of the native library: how they are named, and which of them may be loaded.

A name such as `native-tf2.15.1-SOURCES-COMPILER-CHECKSUM.so` says what the library was made from, and has a checksum of
the file. If the sources, the compiler or TensorFlow change, the name changes too, so a file is never out of date. The
checksum tells whether a file was cut short, which must be known before it is loaded: the dynamic loader may crash on
it.
"""

from __future__ import annotations

import glob
import hashlib
import platform
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

import tensorflow as tf

from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.ownership import NotPrivateError, require_private
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.ops.native.compiler import FLAGS, UNIT, Compiler

# A wheel puts its library beside our modules. The underscore keeps it from looking like one of them.
CARRIED_PREFIX = "_native"
_CACHED_PREFIX = "native"
_MAX_BYTES = 1 << 30


class Found(NamedTuple):
    """The libraries of one name in a folder."""

    usable: List[Path]  # undamaged, and only this user or root could have written them; the newest comes first
    refused: List[str]  # why others are not used: other users could have written them


def carried_name(sources: Path) -> str:
    """The beginning of the name of a library that a wheel carries.

    Without sources, the beginning of every carried library for this version of TensorFlow.
    """
    return f"{CARRIED_PREFIX}-{_made_from(sources)}"


def cached_name(sources: Path, compiler: Optional[Compiler]) -> str:
    """The beginning of the name of a library that this machine built; with no compiler, of those of any compiler."""
    name = f"{_CACHED_PREFIX}-{_made_from(sources)}"
    if compiler is None:
        return name
    return f"{name}-{_digest('|'.join([*compiler.command, compiler.version]).encode())[:8]}"


def has_sources(sources: Path) -> bool:
    """Whether the folder holds sources that can be compiled."""
    return (sources / UNIT).is_file()


def libraries(folder: Path, name: str) -> Found:
    """The libraries in the folder whose names begin with `name`."""
    usable, refused = [], []
    for path in _files(folder, name):
        try:
            require_private(folder)
            require_private(path)
        except NotPrivateError as error:
            refused.append(str(error))
        except OSError:  # the file has been removed meanwhile, or cannot be looked at
            continue
        else:
            if _is_whole(path):
                usable.append(path)
    return Found(usable, list(dict.fromkeys(refused)))


def remove_damaged(folder: Path, name: str) -> List[Path]:
    """Remove the files whose names begin with `name` and whose contents do not fit their checksum; returns them."""
    damaged = [path for path in _files(folder, name) if not _is_whole(path)]
    for path in damaged:
        path.unlink()
    return damaged


def library_path(folder: Path, name: str, made: Path) -> Path:
    """Where the library in the file `made` belongs in the folder: its name begins with `name`."""
    return folder / f"{name}-{_checksum(made)}.so"


def _files(folder: Path, name: str) -> List[Path]:
    try:
        return sorted(folder.glob(f"{glob.escape(name)}-*.so"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:  # a file has been removed meanwhile, or the folder cannot be read
        return []


def _is_whole(path: Path) -> bool:
    try:
        return path.stem.rpartition("-")[2] == _checksum(path)
    except UnreadableFile:
        return False


def _made_from(sources: Path) -> str:
    """`tf2.15.1-HASH`, where the hash is of the sources, our flags, TensorFlow's build and the kind of machine."""
    version = f"tf{tf.__version__}"
    if not has_sources(sources):
        return version
    parts = [platform.system(), platform.machine(), *FLAGS, *_tensorflow_build()]
    for path in _source_files(sources):
        parts += [path.relative_to(sources).as_posix(), _digest(path.read_bytes())]
    return f"{version}-{_digest('|'.join(parts).encode())[:12]}"


def _source_files(folder: Path) -> Iterator[Path]:
    """All files in the folder and below it, in a fixed order. Hidden ones, which editors make, do not count."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _source_files(path)
        elif path.is_file():
            yield path


def _tensorflow_build() -> List[str]:
    """What a compiled library depends on in TensorFlow: its version, its build, and the macros its headers need."""
    definitions = [flag for flag in tf.sysconfig.get_compile_flags() if flag.startswith("-D")]
    return [tf.__version__, tf.version.GIT_VERSION, tf.version.COMPILER_VERSION, *definitions]


def _checksum(path: Path) -> str:
    return file_sha256(path, limit=_MAX_BYTES)[:12]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
