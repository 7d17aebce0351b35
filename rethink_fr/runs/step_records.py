"""Records of steps, one JSON object a line (`metrics.jsonl`), put right before a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from rethink_fr.files.reading import read_bytes
from rethink_fr.files.writing import write_bytes

_MAX_BYTES = 1 << 32


def forget_records(path: Path, step: int) -> int:
    """Drop the records of steps after `step` from a `metrics.jsonl`, and lines that are no records.

    Returns:
        The number of lines that are no records: cut by the end of a process, or garbage.

    Raises:
        UnreadableFile, WriteError: if it cannot be read or written.
    """
    if not path.exists():
        return 0
    data = read_bytes(path, _MAX_BYTES)
    kept, broken = [], 0
    for line in data.split(b"\n"):
        taken = _step_of_record(line)
        if taken is not None and taken <= step:
            kept.append(line + b"\n")
        broken += taken is None and bool(line.strip())
    if b"".join(kept) != data:
        write_bytes(path, b"".join(kept))
    return broken


def last_recorded_step(path: Path) -> int:
    """The largest step in a `metrics.jsonl`; 0 if there is none.

    Raises:
        UnreadableFile: if it is there but cannot be read.
    """
    if not path.exists():
        return 0
    return max((_step_of_record(line) or 0 for line in read_bytes(path, _MAX_BYTES).split(b"\n")), default=0)


def _step_of_record(line: bytes) -> Optional[int]:
    try:
        record = json.loads(line)
        return record["step"] if isinstance(record["step"], int) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
