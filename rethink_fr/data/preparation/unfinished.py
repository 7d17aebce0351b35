"""What of a prepared folder is finished, kept beside it, so that a killed call can be continued.

`OUTPUT.unfinished/` (for an address on an object store a folder of the user's cache) holds the shards so far in
`records/`, and `progress.jsonl`: a line for the settings, and then one for each shard with the files that led to it. A
line is written once its shard is on the disk. What is not as its line says counts as not done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from rethink_fr.data.sources.manifest import Shard
from rethink_fr.data.sources.picture_files import PictureFiles
from rethink_fr.data.sources.record_files import file_sha256s
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.cache import cache_directory, make_cache_folder
from rethink_fr.files.locks import exclusive_lock
from rethink_fr.files.names import printable
from rethink_fr.files.reading import MAX_JSON_BYTES, UnreadableFile, file_stamp, read_bytes
from rethink_fr.files.writing import clear_temporary, sync_file, sync_folder, write_bytes

_RECORDS, _PROGRESS, _LOCK = "records", "progress.jsonl", "lock"


class Entry(NamedTuple):
    """What became of one file."""

    name: str
    sha256: str
    stamp: Optional[List[int]]  # of the file that holds it: bytes and time of the last change
    enlarged: bool
    reason: str  # why it was left out; "" if it is in a shard


class Finished(NamedTuple):
    """A shard, and the files up to its last record that are in no shard before."""

    shard: Shard
    entries: List[Entry]


class Unfinished:
    """The part of a prepared folder that is finished.

    Attributes:
        records: the folder of the shards.
        finished: in order; `add` adds to it.
    """

    def __init__(self, folder: Path, settings: str, files: PictureFiles) -> None:
        self.records = folder / _RECORDS
        self.finished: List[Finished] = []
        self._progress = folder / _PROGRESS
        self._settings = settings
        self.records.mkdir(exist_ok=True)
        self._continue(files)

    @property
    def entries(self) -> List[Entry]:
        """What became of all files of the finished shards."""
        return [entry for finished in self.finished for entry in finished.entries]

    def add(self, finished: Finished) -> None:
        """Note a shard whose file is complete."""
        sync_file(self.records / finished.shard.name)
        sync_folder(self.records)
        with self._progress.open("ab") as file:
            file.write(_line({"shard": _plain(finished.shard), "entries": finished.entries}))
            file.flush()
            os.fsync(file.fileno())
        self.finished.append(finished)

    def _continue(self, files: PictureFiles) -> None:
        """Take over what is as `progress.jsonl` says, and remove the rest."""
        first, *said = _lines(self._progress) or [None]
        if first == {"settings": self._settings}:
            found = [_finished(line) for line in said]
            shards = [self.records / one.shard.name for one in found if one is not None]
            sums = iter(file_sha256s(shards, progress=False, what=""))
            for one in found:
                done = len(self.entries)
                if one is None or next(sums) != one.shard.sha256 or not _as_they_were(files, done, one.entries):
                    break
                self.finished.append(one)
        kept = {one.shard.name for one in self.finished}
        clear_temporary(self._progress.parent, held=True)
        for name in set(os.listdir(self.records)) - kept:
            (self.records / name).unlink()
        lines: List[Dict[str, Any]] = [{"settings": self._settings}]
        lines += [{"shard": _plain(one.shard), "entries": one.entries} for one in self.finished]
        write_bytes(self._progress, b"".join(map(_line, lines)))


@contextlib.contextmanager
def unfinished(target: Path, settings: str, files: PictureFiles) -> Iterator[Unfinished]:
    """Open what an earlier call with the same settings has left for `target`, or begin anew.

    When the block ends without an exception, or with one before a shard was finished, nothing is left.

    Args:
        target: the folder that is to be made.
        settings: whatever tells this preparation from another one.
        files: the pictures.

    Raises:
        ValueError: if there is something else at that place.
        LockedError: if another process is at work there.
    """
    folder = _place(target)
    others = sorted(set(os.listdir(folder)) - {_RECORDS, _PROGRESS, _LOCK}) if folder.is_dir() else []
    if [name for name in others if not name.startswith(".rfr-")]:
        raise ValueError(
            f"{printable(folder)}: holds something else ({printable(others[0])}), perhaps of `prepare --runner`; "
            "finish that, remove it, or choose another --output"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder / _LOCK, "this preparation"):
        work = None
        try:
            work = Unfinished(folder, settings, files)
            yield work
        except BaseException:
            if work is not None and work.finished:
                raise
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def forget(target: Path) -> None:
    """Remove what a call that was killed at its very end has left for a folder that is there."""
    folder = _place(target)
    if folder.is_dir() and set(os.listdir(folder)) <= {_RECORDS, _PROGRESS, _LOCK}:
        with contextlib.suppress(ValueError), exclusive_lock(folder / _LOCK, "this preparation"):
            shutil.rmtree(folder, ignore_errors=True)


def entry_of(files: PictureFiles, name: str, sha256: str, enlarged: bool, reason: str) -> Entry:
    """The `Entry` of a file."""
    return Entry(name, sha256, _stamp(files, name), enlarged, reason)


def _place(target: Path) -> Path:
    if is_remote(target):
        digest = hashlib.sha256(address(target).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return make_cache_folder(cache_directory() / "prepare") / digest
    return target.with_name(f"{target.name}.unfinished")


def _stamp(files: PictureFiles, name: str) -> Optional[List[int]]:
    found = file_stamp(files.holder(name))
    return None if found is None else list(found)


def _as_they_were(files: PictureFiles, done: int, entries: Sequence[Entry]) -> bool:
    """Whether the next files are those of the entries, and were not changed since."""
    names = files.names[done : done + len(entries)]
    return names == [entry.name for entry in entries] and all(
        entry.stamp is not None and entry.stamp == _stamp(files, entry.name) for entry in entries
    )


def _plain(shard: Shard) -> List[Any]:
    return [shard.name, shard.bytes, shard.sha256, list(shard.offsets)]


def _finished(line: Any) -> Optional[Finished]:
    try:
        name, size, sha256, offsets = line["shard"]
        return Finished(Shard(name, size, sha256, tuple(offsets)), [Entry(*entry) for entry in line["entries"]])
    except (KeyError, TypeError, ValueError):
        return None


def _line(value: Any) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def _lines(path: Path) -> List[Any]:
    """The lines up to the first that a kill has cut off."""
    try:
        data = read_bytes(path, MAX_JSON_BYTES)
    except UnreadableFile:
        return []
    values: List[Any] = []
    for line in data.splitlines(keepends=True):
        try:
            values.append(json.loads(line) if line.endswith(b"\n") else None)
        except ValueError:
            values.append(None)
    return values[: values.index(None)] if None in values else values
