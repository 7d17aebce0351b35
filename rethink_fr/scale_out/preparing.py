"""`rethink-fr prepare --runner`: the same shards and manifest as `data.prepare` makes, by two pipelines.

The first makes blocks: the records of some successive images, one after the other. Only then is it known how many
images can be read, and so which record belongs into which shard. The second puts shards together from pieces of blocks.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from rethink_fr.data.prepare import (
    Prepared,
    PrepareReport,
    earlier_manifest,
    fingerprint,
    prepare,
    prepare_one,
    report_of,
    require_shards,
)
from rethink_fr.data.sources.manifest import MANIFEST_NAME, Manifest, Shard, read_manifest
from rethink_fr.data.sources.picture_files import PictureFiles, open_with_archives, require_pictures
from rethink_fr.errors import RunFailure
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.reading import file_size, read_bytes
from rethink_fr.files.writing import write_error
from rethink_fr.scale_out.inputs import input_name
from rethink_fr.scale_out.launch import dead_letters, launch
from rethink_fr.scale_out.output import DEAD_LETTERS, OWN, REPORT_NAME, OutputFolder, open_output, read_lines
from rethink_fr.scale_out.work import Item, Work, Write

_IMAGES = 128  # in a block
_SHARD_IMAGES = 1024  # in a shard, as `data.prepare` has it
_BLOCK_BYTES = 8 << 30


class Entry(NamedTuple):
    """What is known of an image once its block is there."""

    name: str
    sha256: str
    length: int  # bytes of its record; 0 if it is unreadable
    enlarged: bool
    reason: str
    block: str = ""
    offset: int = 0  # in its block


@dataclass(frozen=True)
class BlockWork(Work):
    """Makes the records of some images."""

    folder: str
    size: int
    has_model = False

    def open(self, item: Item) -> List[Prepared]:
        """Read and prepare the images."""
        files = _files(self.folder)
        made = [prepare_one(files, name, self.size) for name in item.task["names"]]
        for one in made:
            if one.record is None and is_remote(self.folder) and file_size(files.holder(one.name)) is None:
                raise OSError(f"{one.name} was listed, and now the store does not have it, or cannot be reached")
        return made

    def finish(self, item: Item, inferred: List[Prepared], write: Write) -> Dict[str, Any]:
        """Write the records."""
        name = f"{OWN}/blocks/{item.digest}"
        write(name, b"".join(one.record for one in inferred if one.record is not None))
        entries = [Entry(one.name, one.digest, len(one.record or b""), one.enlarged, one.reason) for one in inferred]
        return {"outputs": [name], "entries": entries}


@dataclass(frozen=True)
class ShardWork(Work):
    """Puts shards together."""

    folder: OutputFolder
    has_model = False

    def open(self, item: Item) -> bytes:
        """Read the pieces."""
        pieces = []
        for block, start, length in item.task["pieces"]:
            pieces.append(read_bytes(self.folder.path(block), _BLOCK_BYTES)[start : start + length])
        return b"".join(pieces)

    def finish(self, item: Item, inferred: bytes, write: Write) -> Dict[str, Any]:
        """Write the shard."""
        write(item.key, inferred)
        return {"outputs": [item.key], "bytes": len(inferred), "sha256": hashlib.sha256(inferred).hexdigest()}


def prepare_by_pipeline(input_dir: Path, output_dir: Path, size: int, runner: str, options: str = "") -> PrepareReport:
    """Write the images below a folder as `data.prepare.prepare` does, to the byte, by pipelines.

    On this machine all is done in `OUTPUT.unfinished`, which takes the output's place in the end; on a store, where
    nothing can be renamed, in the output itself, and its manifest comes last. After an interruption the same call goes
    on. An output that has a manifest is checked, as by `prepare`, by the machine that this runs on.

    Raises:
        ValueError: if no image can be read, or the output folder has something else in it.
        RunFailure: if a pipeline fails, or a block could not be made.
    """
    if size < 8:
        raise ValueError(f"prepare: expected a size of at least 8, got {size}")
    target = output_dir if is_remote(output_dir) else Path(os.path.realpath(output_dir))
    if read_manifest(target) is not None or (not is_remote(target) and os.path.lexists(target) and os.listdir(target)):
        return prepare(input_dir, output_dir, size)  # checks what is there
    files = require_pictures(open_with_archives(input_dir))
    base = target if is_remote(target) else target.with_name(f"{target.name}.unfinished")
    settings = {"command": "prepare", "input": input_name(input_dir), "size": size}
    folder = open_output(base, settings, (input_dir,), False)
    ran = launch(_blocks(files, size), BlockWork(input_name(input_dir), size), folder, runner, options)
    entries = _entries(folder, ran.reports)
    made = launch(_shards(folder, entries), ShardWork(folder), folder, runner, options)
    manifest = _manifest(files, size, entries, _check(folder, made.reports))
    for name in (*ran.reports, *made.reports, DEAD_LETTERS, REPORT_NAME):
        folder.remove(name)
    folder.clear()
    content = json.dumps(manifest.content(), indent=1, ensure_ascii=False) + "\n"
    folder.write(MANIFEST_NAME, content.encode("utf-8", "backslashreplace"))  # as `files.writing.write_json`
    if base != target:
        try:
            earlier_manifest(target)  # raises if something was put there meanwhile
            os.rename(base, target)
        except OSError as error:
            raise write_error(output_dir, error) from error
    return report_of(output_dir, manifest, unchanged=False)


@functools.lru_cache(maxsize=2)
def _files(folder: str) -> PictureFiles:
    return open_with_archives(Path(folder), listing=False)


def _blocks(files: PictureFiles, size: int) -> Iterator[Item]:
    for number, first in enumerate(range(0, len(files.names), _IMAGES)):
        names = files.names[first : first + _IMAGES]
        inputs = dict.fromkeys(files.holder(name) for name in names)
        yield Item(number, "\n".join((str(size), *names)), tuple(map(input_name, inputs)), {"names": names})


def _check(folder: OutputFolder, reports: Sequence[str]) -> List[Dict[str, Any]]:
    """What was said of all items, in their order; a dead letter among them ends the call."""
    for name, reason in dead_letters(folder)[:1]:
        raise RunFailure(f"{printable(name)}: {reason}; what was finished is kept: run the same command again")
    return read_lines(folder, reports)


def _entries(folder: OutputFolder, reports: Sequence[str]) -> List[Entry]:
    entries = []
    for said in _check(folder, reports):
        offset = 0
        for found in said["entries"]:
            entry = Entry(*found)
            entries.append(entry._replace(block=said["outputs"][0], offset=offset))
            offset += entry.length
    return entries


def _readable(entries: Iterable[Entry]) -> Iterator[List[Entry]]:
    """The images of each shard."""
    readable = (entry for entry in entries if entry.length)
    while part := list(itertools.islice(readable, _SHARD_IMAGES)):
        yield part


def _shards(folder: OutputFolder, entries: Sequence[Entry]) -> Iterator[Item]:
    for number, part in enumerate(_readable(entries)):
        pieces: List[Tuple[str, int, int]] = []
        for entry in part:  # the readable images of a block follow each other without gaps
            if pieces and pieces[-1][0] == entry.block:
                pieces[-1] = (entry.block, pieces[-1][1], pieces[-1][2] + entry.length)
            else:
                pieces.append((entry.block, entry.offset, entry.length))
        blocks = tuple(input_name(folder.path(block)) for block, _, _ in pieces)
        yield Item(number, f"images-{number:05d}.tfrecord", blocks, {"pieces": pieces})


def _manifest(files: PictureFiles, size: int, entries: Sequence[Entry], said: Sequence[Dict[str, Any]]) -> Manifest:
    unreadable = tuple((entry.name, entry.reason) for entry in entries if not entry.length)
    shards = []
    for of_shard, part in zip(said, _readable(entries)):
        ends = list(itertools.accumulate(entry.length for entry in part))
        shards.append(Shard(of_shard["outputs"][0], of_shard["bytes"], of_shard["sha256"], (0, *ends[:-1])))
    require_shards(files, shards, unreadable)
    digests = [(entry.name, entry.sha256) for entry in entries]
    enlarged = sum(entry.enlarged for entry in entries)
    return Manifest(size, fingerprint(digests, size, _SHARD_IMAGES), enlarged, tuple(shards), unreadable)
