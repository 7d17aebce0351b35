"""What goes wrong when the native library is looked for or built."""

from __future__ import annotations


class NativeOpsError(RuntimeError):
    """There is no native library that this process can use. The message says why, and what to do about it."""


class CompilationError(NativeOpsError):
    """The compiler refused the sources.

    Args:
        message: one line, with what matters of the compiler's output.
        log: the command and the whole output.
    """

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log
