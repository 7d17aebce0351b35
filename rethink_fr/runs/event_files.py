"""TensorBoard's files of a run, put right before it goes on: no step twice, and no end that was cut off."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Iterator, Tuple

from rethink_fr.files.crc32c import masked_crc32c
from rethink_fr.files.reading import open_regular
from rethink_fr.files.writing import atomic_file

_MAX_BYTES = 1 << 40
_HEAD = 32  # bytes of an event in which its time and step stand
_TIME, _STEP = b"\x09", b"\x10"  # their tags in tensorboard/compat/proto/event.proto: fields 1 and 2


def forget_events(folder: Path, step: int) -> None:
    """Drop the events of steps after `step` from TensorBoard's files in `folder`, and ends that were cut off.

    Raises:
        UnreadableFile, WriteError: if they cannot be read or written.
    """
    for path in sorted(folder.glob("*tfevents*")):
        with open_regular(path, _MAX_BYTES) as file:
            kept = sum(size for _, size, taken in _events(file) if taken <= step)
            if kept == path.stat().st_size:
                continue
            with atomic_file(path) as shorter:
                for start, size, taken in _events(file):
                    if taken <= step:
                        file.seek(start)
                        _copy(file, shorter, size)


def _events(file: IO[bytes]) -> Iterator[Tuple[int, int, int]]:
    """`(start, size, step)` of each whole event of a TFRecord file: length, its checksum, event, its checksum."""
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
        return 0  # not written, as for the version of the file
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
