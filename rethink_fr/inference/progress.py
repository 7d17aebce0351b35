"""What a call over many photos has done so far, so that it can be continued after any end.

While the call works, `report.unfinished.jsonl` in the output folder has a line for each photo that was begun, with the
names that it will be written under, and one when it was done. At its end `report.json` takes its place. A later call
with the same settings leaves out what is done: its input unchanged, its outputs there.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Union

from rethink_fr.files.locks import exclusive_lock
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError, Outputs
from rethink_fr.files.reading import MAX_JSON_BYTES, UnreadableFile, file_stamp, read_bytes, read_json
from rethink_fr.files.writing import write_error
from rethink_fr.inference.photo_report import (
    ClipReport,
    FaceReport,
    FolderReport,
    PhotoReport,
    PhotoSettings,
    TrackReport,
)

REPORT_NAME = "report.json"
_JOURNAL_NAME = "report.unfinished.jsonl"
_LOCK_NAME = ".report.lock"


class Progress:
    """The photos that earlier calls with these settings have done in a folder.

    Args:
        folder: of the outputs.
        settings: of this call.
        overwrite: whether all is done anew.

    Raises:
        OutputError: if there is a report of a call with other settings, or none of ours.
    """

    def __init__(self, folder: Path, settings: PhotoSettings, overwrite: bool) -> None:
        self._folder = folder
        self._settings = asdict(settings)
        self._done: Dict[str, Dict[str, Any]] = {}
        self._begun: Dict[str, List[str]] = {}  # names of outputs, by input
        self.continues = False
        if not overwrite:
            self._read_report(folder / REPORT_NAME)
            self._read_journal(folder / _JOURNAL_NAME)
        self._journal: Optional[IO[bytes]] = None

    @property
    def made(self) -> Set[Path]:
        """Files that earlier calls wrote, or began to write."""
        names = [*(entry["outputs"] for entry in self._done.values()), *self._begun.values()]
        return {self._folder / name for part in names for name in part}

    def done(self, path: Path) -> Optional[PhotoReport]:
        """The report of a photo that does not have to be done again; None if it has to."""
        report = self._written(_key(path))
        return report if report is not None and file_stamp(path) == (report.bytes, report.modified) else None

    def replaceable(self, paths: Iterable[Path]) -> Iterator[Path]:
        """What may be replaced when these photos are done again: their own outputs, and the report."""
        if self.continues:
            yield self._folder / REPORT_NAME
        for path in paths:
            entry = self._done.get(_key(path), {})
            for name in (*entry.get("outputs", ()), *self._begun.get(_key(path), ())):
                yield self._folder / name

    def others(self, paths: Iterable[Path]) -> List[PhotoReport]:
        """The reports of photos that are none of these and were written: they stay in the report."""
        own = {_key(path) for path in paths}
        found = (self._written(name) for name in self._done if name not in own)
        return [report for report in found if report is not None]

    @property
    def is_complete(self) -> bool:
        """Whether the last call came to its end."""
        return self.continues and not os.path.lexists(self._folder / _JOURNAL_NAME)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Keep the journal open; only one process at a time may.

        Raises:
            LockedError: if another does.
            WriteError: if the folder cannot be written to.
        """
        path, lock = self._folder / _JOURNAL_NAME, self._folder / _LOCK_NAME
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive_lock(lock, "this folder"))
                self._journal = stack.enter_context(open(path, "ab" if self.continues else "wb"))
            except OSError as error:
                raise write_error(path, error) from error
            try:
                self._note({"settings": self._settings})
                yield
            finally:
                self._journal = None
                with contextlib.suppress(OSError):
                    lock.unlink()

    def begin(self, path: Path, names: Sequence[str]) -> None:
        """Note that a photo will be written under these names."""
        self._note({"begun": os.fspath(path), "outputs": list(names)})

    def finish(self, report: PhotoReport) -> None:
        """Note that a photo is done."""
        self._note({"done": asdict(report)})

    def close(self, outputs: Outputs, report: FolderReport, complete: bool) -> None:
        """Write the report; a complete one takes the journal's place."""
        outputs.write_json(self._folder / REPORT_NAME, asdict(report))
        if complete:
            with contextlib.suppress(OSError):
                (self._folder / _JOURNAL_NAME).unlink()

    def _written(self, name: str) -> Optional[PhotoReport]:
        """The report of a photo whose outputs are all there."""
        report = _as_report(self._done.get(name))
        if report is None or report.error is not None:
            return None
        return report if all((self._folder / one).is_file() for one in report.outputs) else None

    def _note(self, line: Dict[str, Any]) -> None:
        if self._journal is not None:
            self._journal.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
            self._journal.flush()

    def _read_report(self, path: Path) -> None:
        if not os.path.lexists(path):
            return
        try:
            found = read_json(path, "a report of rethink-fr restore")
        except UnreadableFile:
            found = None
        self._continue(path, found.get("settings") if isinstance(found, dict) else None)
        for entry in found["files"] if isinstance(found.get("files"), list) else []:
            self._add(entry)

    def _read_journal(self, path: Path) -> None:
        if not os.path.lexists(path):
            return
        for line in read_bytes(path, MAX_JSON_BYTES).splitlines():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):  # the last line of a process that was killed
                continue
            if not isinstance(found, dict):
                continue
            if "settings" in found:
                self._continue(path, found["settings"])
            elif isinstance(found.get("begun"), str) and isinstance(found.get("outputs"), list):
                self._begun[_key(found["begun"])] = [name for name in found["outputs"] if _is_inside(name)]
            elif "done" in found:
                self._add(found["done"])

    def _continue(self, path: Path, settings: Any) -> None:
        """Refuse a report that is not of a call like this one."""
        if settings == self._settings:
            self.continues = True
            return
        advice = "choose another --output, or add --overwrite to replace it"
        if not isinstance(settings, dict) or set(settings) != set(self._settings):
            raise OutputError(path, f"is there already; {advice}")
        (name, *_) = [name for name, value in self._settings.items() if settings[name] != value]
        before, now = (printable(str(value))[:80] for value in (settings[name], self._settings[name]))
        raise OutputError(path, f"of a call with {name.replace('_', ' ')} {before}, now {now}; {advice}")

    def _add(self, entry: Any) -> None:
        """Remember an entry that has the form of ours."""
        if isinstance(entry, dict) and isinstance(entry.get("input"), str) and isinstance(entry.get("outputs"), list):
            if all(_is_inside(name) for name in entry["outputs"]):
                self._done[_key(entry["input"])] = entry


def _key(path: Union[str, Path]) -> str:
    """By what a photo is known, however it was given."""
    return os.path.abspath(path)


def _is_inside(name: Any) -> bool:
    """Whether this is the name of a file below the output folder: a report may have been changed by anyone."""
    return isinstance(name, str) and not os.path.isabs(name) and ".." not in Path(name).parts


def _as_report(entry: Optional[Dict[str, Any]]) -> Optional[PhotoReport]:
    """An entry read from JSON as what was written; None if there is none, or something else."""
    if entry is None:
        return None
    try:
        faces: List[FaceReport] = []
        for face in entry["faces"]:
            points = tuple(tuple(point) for point in face["points"])
            lists = {name: tuple(face[name]) for name in ("box", "consistency", "identity_angle")}
            faces.append(FaceReport(**{**face, **lists, "points": points}))
        size = None if entry["size"] is None else tuple(entry["size"])
        lists = {name: tuple(entry[name]) for name in ("outputs", "notes")}
        return PhotoReport(**{**entry, **lists, "size": size, "faces": tuple(faces), "clip": _as_clip(entry["clip"])})
    except (TypeError, KeyError):
        return None


def _as_clip(entry: Optional[Dict[str, Any]]) -> Optional[ClipReport]:
    if entry is None:
        return None
    tracks = tuple(TrackReport(**{**track, "box": tuple(track["box"])}) for track in entry["tracks"])
    return ClipReport(**{**entry, "tracks": tracks})
