"""What a run has logged of its steps, in `metrics.jsonl` and for TensorBoard; put in order before the run goes on.

A continued run takes the steps after its checkpoint again. Their records are removed first, and so is what a killed
process left incomplete.
"""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import IO, Dict, Iterator, List, Optional, Tuple

from rethink_fr.files.crc32c import masked_crc32c
from rethink_fr.files.reading import open_regular, read_bytes
from rethink_fr.files.writing import atomic_file, write_bytes

_MAX_METRICS_BYTES = 1 << 32
_MAX_EVENTS_BYTES = 1 << 40
_EVENTS_NAME = re.compile(r"(.*tfevents\.)(\d{10,})(\..*)")
_SHEET_NAME = re.compile(r"step_(\d+)\.png")
_TAGGED = 256  # bytes of an event that the names of its values begin in
_HEAD = 32  # bytes of an event that its time and step are in
_TIME, _STEP = b"\x09", b"\x10"  # their tags in tensorboard/compat/proto/event.proto: fields 1 and 2


def forget_records(path: Path, step: int) -> int:
    """Remove from a `metrics.jsonl` the records of steps after `step`, and lines that are not records.

    Returns:
        Number of lines that are not records: cut off when a process ended, or garbage.

    Raises:
        UnreadableFile, WriteError: if it cannot be read or written.
    """
    if not path.exists():
        return 0
    data = read_bytes(path, _MAX_METRICS_BYTES)
    kept, broken = [], 0
    for line in data.split(b"\n"):
        record = _record(line)
        if record is not None and record["step"] <= step:
            kept.append(line + b"\n")
        broken += record is None and bool(line.strip())
    if b"".join(kept) != data:
        write_bytes(path, b"".join(kept))
    return broken


def last_recorded_step(path: Path) -> int:
    """The largest step in a `metrics.jsonl`; 0 if there is none.

    Raises:
        UnreadableFile: if the file exists but cannot be read.
    """
    return max((int(record["step"]) for record in read_records(path)), default=0)


def is_recorded(path: Path, step: int, name: str) -> bool:
    """Whether a `metrics.jsonl` has a record of this step with a value of this name."""
    return any(record["step"] == step and name in record for record in read_records(path))


def read_records(path: Path) -> List[Dict[str, float]]:
    """All records of a `metrics.jsonl`, in their order; lines that are none are passed over.

    Raises:
        UnreadableFile: if the file exists but cannot be read.
    """
    if not path.exists():
        return []
    records = map(_record, read_bytes(path, _MAX_METRICS_BYTES).split(b"\n"))
    return [record for record in records if record is not None]


def forget_events(folder: Path, step: int) -> None:
    """Remove from TensorBoard's files in `folder` the events of steps after `step`, and ends that were cut off.

    Raises:
        UnreadableFile, WriteError: if they cannot be read or written.
    """
    for path in sorted(folder.glob("*tfevents*")):
        with open_regular(path, _MAX_EVENTS_BYTES) as file:
            kept = sum(size for _, size, taken in _events(file) if taken <= step)
            if kept == path.stat().st_size:
                continue
            with atomic_file(path) as shorter:
                for start, size, taken in _events(file):
                    if taken <= step:
                        file.seek(start)
                        _copy(file, shorter, size)


def forget_sheets(folder: Path, step: int) -> None:
    """Remove from a run's `samples` the sheets of steps after `step`; one that lies there counts as drawn and shown."""
    for path in folder.glob("step_*.png"):
        match = _SHEET_NAME.fullmatch(path.name)
        if match is not None and int(match[1]) > step:
            path.unlink()


def has_event(folder: Path, tag: str) -> bool:
    """Whether TensorBoard's files in `folder` have a whole event with a value of this name.

    It is looked for from the beginning of a run on, and in the first part of each event only.

    Raises:
        UnreadableFile: if a file cannot be read.
    """
    for path in sorted(folder.glob("*tfevents*")):
        with open_regular(path, _MAX_EVENTS_BYTES) as file:
            for start, size, _ in _events(file):
                file.seek(start)
                if tag.encode() in file.read(min(size, _TAGGED)):
                    return True
    return False


def put_in_order(folder: Path, now: float) -> None:
    """Rename TensorBoard's files in `folder` so that a file that begins now comes after all of them.

    Their names hold the time at which they were begun, and TensorBoard reads them in the order of their names. After a
    clock was set back, the next file would come before older ones: curves would run backwards, and a TensorBoard that
    is open would never look at it.

    Args:
        folder: the run's `logs`.
        now: the time in seconds.
    """
    limit = int(now)
    for path in sorted(folder.glob("*tfevents.*"), reverse=True):
        match = _EVENTS_NAME.fullmatch(path.name)
        if match is None:
            continue
        begun = min(int(match[2]), limit - 1)
        if begun != int(match[2]):
            os.rename(path, folder / f"{match[1]}{begun:010d}{match[3]}")
        limit = begun


def _record(line: bytes) -> Optional[Dict[str, float]]:
    """The record in a line; None if there is none."""
    try:
        record: Dict[str, float] = json.loads(line)
        return record if isinstance(record["step"], int) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _events(file: IO[bytes]) -> Iterator[Tuple[int, int, int]]:
    """`(start, size, step)` of each complete event of a TFRecord file: length, its checksum, event, its checksum."""
    file.seek(0, 2)
    end, start = file.tell(), 0
    while True:
        file.seek(start)
        header = file.read(12)
        if len(header) < 12 or masked_crc32c(header[:8]) != struct.unpack("<I", header[8:])[0]:
            return
        (length,) = struct.unpack("<Q", header[:8])
        size = 12 + length + 4
        if start + size > end:
            return
        yield start, size, _step_of_event(file.read(min(length, _HEAD)))
        start += size


def _step_of_event(head: bytes) -> int:
    position = 9 if head[:1] == _TIME else 0
    if head[position : position + 1] != _STEP:
        return 0  # events without a step, such as the version of the file
    step = 0
    for number, byte in enumerate(head[position + 1 :]):
        step |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            break
    return step


def _copy(source: IO[bytes], destination: IO[bytes], size: int) -> None:
    while size:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise OSError(None, "an events file became shorter")
        destination.write(block)
        size -= len(block)
