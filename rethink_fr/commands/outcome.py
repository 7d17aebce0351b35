"""How a command ends: its exit code, and what it says of inputs that failed and of files that it wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Iterable, List, Sequence, Tuple

from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs
from rethink_fr.files.writing import WriteError

OK, SOME_FAILED = 0, 1  # exit codes; 2, for a mistake in the call, comes from an exception: see `rethink_fr.errors`

Failures = List[Tuple[str, str]]  # (what, reason)


def report_failures(failed: Sequence[Tuple[str, str]]) -> int:
    """Print a line for each failure on stderr; returns the exit code."""
    for name, reason in failed:
        print(f"rethink-fr: {printable(name)}: {printable(reason)}", file=sys.stderr)
    return SOME_FAILED if failed else OK


def claimed(outputs: Outputs, claims: Iterable[Tuple[str, Path]]) -> Outputs:
    """`outputs` with these files, (option, path), claimed for after the work."""
    for option, path in claims:
        outputs.claim_writable(path, option)
    return outputs


def written(what: str, path: Path, write: Callable[[], None]) -> Failures:
    """Call `write` and say so; or why it failed, after work that should not be lost for it."""
    shown = printable(path)
    try:
        write()
    except WriteError as error:
        return [(shown, str(error).replace(f"{shown}: ", "", 1))]
    print(f"{what}: {shown}")
    return []
