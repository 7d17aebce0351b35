"""Files that a command writes at the end of long work: tried before it, and written one by one after it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterable, List, Tuple

from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs
from rethink_fr.files.writing import WriteError

Failures = List[Tuple[str, str]]  # (what, reason)


def claimed(outputs: Outputs, claims: Iterable[Tuple[str, Path]]) -> Outputs:
    """Reserve these files in `outputs` and try whether they could be written; returns `outputs`.

    Args:
        outputs: of the call.
        claims: pairs of the option by which the user named a file, and the file.

    Raises:
        OutputError, WriteError: see `Outputs.claim_writable`.
    """
    for option, path in claims:
        outputs.claim_writable(path, option)
    return outputs


def written(what: str, path: Path, write: Callable[[], None]) -> Failures:
    """Call `write` and print what was written where.

    If it fails, return the failure instead of raising it: the other files should not be lost for it.
    """
    shown = printable(path)
    try:
        write()
    except WriteError as error:
        return [(shown, str(error).replace(f"{shown}: ", "", 1))]
    print(f"{what}: {shown}")
    return []
