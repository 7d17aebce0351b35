"""The C++ compiler: which one there is, and one call of it that makes the native library."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Tuple

import tensorflow as tf

# The one translation unit; it includes the other files of its folder.
UNIT = "rethink_fr_ops.cc"
_CANDIDATES = ("g++", "c++", "clang++")
# No -march=native: the kernels hold code for several instruction sets and choose when they run. The folder of the
# sources is the compiler's working directory, so these are the same everywhere; -Wa serves `.incbin`.
_FLAGS = ("-shared", "-fPIC", "-O3", "-std=c++17", "-Wall", "-Wextra", "-I.", "-Wa,-I.")


class NativeOpsError(RuntimeError):
    """There is no native library for this TensorFlow on this machine; the message says why and what to do."""


class CompilationError(NativeOpsError):
    """The compiler refused the sources; `log` is all it said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


class Compiler(NamedTuple):
    """A C++ compiler that runs: its command line, and the first line of what `--version` prints."""

    command: Tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """The compiler named by the environment variable CXX, else the first of g++, c++ and clang++.

    Raises:
        NativeOpsError: if there is none, or it does not run.
    """
    chosen = shlex.split(os.environ.get("CXX", ""))
    commands = [chosen] if chosen else [[name] for name in _CANDIDATES]
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        try:
            answer = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise NativeOpsError(
                f"`{shlex.join(command)} --version` fails ({error}); set CXX to one that runs"
            ) from error
        return Compiler(tuple(command), answer.strip().partition("\n")[0])
    if chosen:
        raise NativeOpsError(f"CXX names {chosen[0]}, which is not on the PATH; correct it, or unset it")
    raise NativeOpsError(f"there is no C++ compiler ({', '.join(_CANDIDATES)}); install one, or set CXX")


def tensorflow_identity() -> List[str]:
    """What a compiled library depends on in TensorFlow: version, build, and the definitions its headers need."""
    definitions = [flag for flag in tf.sysconfig.get_compile_flags() if flag.startswith("-D")]
    return [tf.__version__, tf.version.GIT_VERSION, tf.version.COMPILER_VERSION, *definitions]


def own_flags() -> Tuple[str, ...]:
    """Our flags, without those that name TensorFlow's folders: they hold no path, so a hash of them travels."""
    return _FLAGS


def compile_library(compiler: Compiler, sources: Path, output: Path) -> str:
    """Compile the unit in the folder `sources` into the shared library `output`; returns what the compiler said.

    Raises:
        CompilationError: if the compiler fails; the message ends with what matters of its output.
    """
    # As system headers, TensorFlow's give no warnings: those that remain are ours.
    includes = [word for flag in tf.sysconfig.get_compile_flags() for word in _as_system_include(flag)]
    command = [*compiler.command, *own_flags(), *includes, UNIT, "-o", str(output), *tf.sysconfig.get_link_flags()]
    try:
        done = subprocess.run(command, cwd=sources, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise CompilationError(
            f"{compiler.command[0]} does not start ({error}); set CXX to one that does", ""
        ) from error
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise CompilationError(
            f"{shlex.join(compiler.command)} failed with exit code {done.returncode}: {_essence(said)}",
            f"{shlex.join(command)}\n{said}",
        )
    return said


def _as_system_include(flag: str) -> List[str]:
    if flag.startswith("-I"):
        return ["-isystem", flag[2:]]
    return [flag] if flag.startswith("-D") else []  # the language's version is ours to choose


def _essence(said: str) -> str:
    """The first two errors, since the others follow from them; without any, the last lines."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return " | ".join(errors[:2] or lines[-3:]) or "it said nothing"
