"""A library file as part of this process."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from rethink_fr.files.ownership import require_private

# The operators that the library may hold. The library's module calls each of them `rethink_fr_NAME`.
OPERATORS = ("deform_conv2d", "group_norm_swish")


class LoadError(RuntimeError):
    """A library file cannot be loaded; the message is one line."""


class LoadedLibrary(NamedTuple):
    """The native library, loaded into this process."""

    module: Any  # TensorFlow's Python functions for the operators
    path: Path
    origin: str  # "carried by this installation", "built on this machine" or "built for this process only"
    functions: Any  # its C functions, through ctypes

    def has(self, operator: str) -> bool:
        """Whether the library holds the operator, which is one of `OPERATORS`."""
        return hasattr(self.module, f"rethink_fr_{operator}")

    def instruction_set(self) -> str:
        """What its CPU kernels use: "avx512", "avx2" or "baseline". At first it is the best that this processor has."""
        function = self.functions.rethink_fr_instruction_set
        function.restype = ctypes.c_char_p
        return function().decode()

    def use_instruction_set(self, name: str) -> bool:
        """Use another instruction set from now on, for tests and comparisons.

        Returns:
            False, if this processor has no set of that name; nothing changes then.
        """
        return bool(self.functions.rethink_fr_use_instruction_set(name.encode()))


def load_library(path: Path, origin: str) -> LoadedLibrary:
    """Load a library file into this process.

    Args:
        path: of the file.
        origin: where it comes from, in words.

    Raises:
        NotPrivateError: if another user could have written the file.
        LoadError: if it cannot be loaded. Another attempt would fail too.
    """
    try:
        file = str(require_private(path))
        module = tf.load_op_library(file)
    except (tf.errors.OpError, OSError, RuntimeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise LoadError(f"{path.name} cannot be loaded ({first_line})") from error
    # The file is loaded already, and ctypes gets that same copy.
    return LoadedLibrary(module, path, origin, ctypes.CDLL(file))
