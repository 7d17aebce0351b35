"""The C++ compiler: which one is used, and the call that compiles the native library."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Tuple

import tensorflow as tf

from rethink_fr.ops.native.errors import CompilationError, NativeOpsError

# The only file that is compiled. It includes all others.
UNIT = "rethink_fr_ops.cc"
# The compiler runs in the folder of the sources, so these flags hold no path and are the same on every machine.
# -Wa,-I. lets `.incbin` find the files that the library carries. There is no -march=native: the library holds its
# kernels for several instruction sets, and chooses at run time.
FLAGS = ("-shared", "-fPIC", "-O3", "-std=c++17", "-Wall", "-Wextra", "-I.", "-Wa,-I.")
_CANDIDATES = ("g++", "c++", "clang++")


class Compiler(NamedTuple):
    """A C++ compiler that runs."""

    command: Tuple[str, ...]  # the program and its first arguments
    version: str  # the first line that it prints for `--version`


def find_compiler() -> Compiler:
    """The compiler that the environment variable CXX names, or else the first of g++, c++ and clang++.

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


def compile_library(compiler: Compiler, sources: Path, output: Path) -> str:
    """Compile the sources into the shared library `output`.

    Args:
        compiler: from `find_compiler`.
        sources: the folder that holds `UNIT` and the files that it includes.
        output: path of the library.

    Returns:
        The compiler's output: its warnings, or an empty string.

    Raises:
        CompilationError: if the compiler fails.
    """
    # TensorFlow's headers count as system headers, which give no warnings: those that remain are about our sources.
    includes = [word for flag in tf.sysconfig.get_compile_flags() for word in _as_system_include(flag)]
    command = [*compiler.command, *FLAGS, *includes, UNIT, "-o", str(output), *tf.sysconfig.get_link_flags()]
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
    return [flag] if flag.startswith("-D") else []  # not -std: we choose the version of the language


def _essence(said: str) -> str:
    """The first two errors, because later ones often follow from them; or the last lines, if none is marked so."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return " | ".join(errors[:2] or lines[-3:]) or "it said nothing"
