"""What went wrong, in one line for the user, and the exit code that belongs to it. Nothing here imports TensorFlow."""

from __future__ import annotations

import errno
import re
import sys
from typing import Iterator, Optional, Sequence, Tuple

from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError

# Exit codes: all was done; something failed while running; there is a mistake in the call or the configuration.
OK, FAILED, USAGE = 0, 1, 2
# A run stopped by SIGTERM, or by the loss of another worker: the same command goes on. This is EX_TEMPFAIL of
# sysexits.h, "try again".
AGAIN = 75

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
_OF_THE_MACHINE = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
_LONGEST = 300  # characters of one of TensorFlow's messages
# How TensorFlow names an exception that Python raised inside a graph: "ValueError: what was wrong".
_RAISED_IN_GRAPH = re.compile(r"\b(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Failure|Image)): (.+)")
_GRAPH_NOTE = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\].*")


class RunFailure(Exception):  # noqa: N818 (reads as what happened)
    """Work that cannot go on although call and configuration are right. The message says what to do, in one line."""


class TryAgain(RunFailure):
    """As `RunFailure`, but nothing has to be done: the same command goes on."""


def describe(error: BaseException) -> Optional[Tuple[str, int]]:
    """Describe an exception to the user.

    Returns:
        A message of one line and the exit code; or None if the exception is a mistake of the program, about which the
        user can do nothing.
    """
    if isinstance(error, TryAgain):
        return _first_line(str(error)), AGAIN
    if isinstance(error, (RunFailure, ArithmeticError)):  # the latter is DivergenceError
        return _first_line(str(error)) or type(error).__name__, FAILED
    if is_full_disk(error):
        if isinstance(error, WriteError):
            return _first_line(str(error)), FAILED
        return f"{_place(error)}no space is left on the disk; make room there and run the command again", FAILED
    if isinstance(error, MemoryError):
        return "out of memory; use smaller pictures or a smaller batch, or end other programs", FAILED
    if _is_tensorflow(error, "ResourceExhaustedError"):
        what = tensorflow_line(error)
        return f"out of memory ({what}); lower training.global_batch, or use smaller pictures", FAILED
    if _is_tensorflow(error, "OpError"):
        return f"{tensorflow_line(error)} (RETHINK_FR_DEBUG=1 shows where it came from)", FAILED
    if isinstance(error, OSError):
        place = _place(error)
        message = f"{place}{error.strerror}" if place and error.strerror else _first_line(str(error))
        return message or type(error).__name__, FAILED if error.errno in _OF_THE_MACHINE else USAGE
    if isinstance(error, ValueError):
        return _first_line(str(error)) or type(error).__name__, USAGE
    return None


def report_failures(failed: Sequence[Tuple[str, str]]) -> int:
    """Print a line on stderr for each `(name, reason)` that failed while others were done; returns the exit code."""
    for name, reason in failed:
        print(f"rethink-fr: {printable(name)}: {printable(reason)}", file=sys.stderr)
    return FAILED if failed else OK


def is_full_disk(error: BaseException) -> bool:
    """Find out whether a full disk or quota caused this exception, whichever library noticed it."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return True
        if _is_tensorflow(cause, "OpError") and any(text in str(cause) for text in _NO_SPACE_TEXTS):
            return True
    return False


def tensorflow_line(error: BaseException) -> str:
    """Return what matters of an error of TensorFlow, whose message may have many lines and quote a traceback.

    Example:
        >>> tensorflow_line(Exception("{{node Read}} ValueError: shard 3 is damaged\\nTraceback ..."))
        'shard 3 is damaged'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = next((found for found in map(_RAISED_IN_GRAPH.search, lines) if found), None)
    line = raised[1] if raised else next(iter(lines), "")
    line = " ".join(_GRAPH_NOTE.sub("", line).split()) or type(error).__name__
    return printable(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...")


def _is_tensorflow(error: BaseException, name: str) -> bool:
    """Whether `error` is of TensorFlow's class `tf.errors.NAME`; without TensorFlow loaded nothing is."""
    tensorflow = sys.modules.get("tensorflow")
    kind = getattr(getattr(tensorflow, "errors", None), name, None)
    return kind is not None and isinstance(error, kind)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and so on."""
    seen = set()
    cause: Optional[BaseException] = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def _place(error: BaseException) -> str:
    name = error.filename if isinstance(error, OSError) else None
    return f"{printable(name)}: " if isinstance(name, str) else ""


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


def install_advice(extra: str) -> str:
    """Say how to install an extra of this package, for the end of an error message.

    It names what works from a package index, and what works from a clone of the repository.

    Example:
        >>> install_advice("onnx")
        'install the extra with: pip install "rethink-fr[onnx]", or in a clone of the project: pip install ".[onnx]"'
    """
    return (
        f'install the extra with: pip install "rethink-fr[{extra}]", or in a clone of the project: '
        f'pip install ".[{extra}]"'
    )
