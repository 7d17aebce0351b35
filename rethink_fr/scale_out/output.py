"""The folder that a pipeline writes to, on this machine or on an object store, by many workers at a time.

Files are there whole or not at all. In `.rethink-fr/` lie the settings of the call and, for each finished item, a
record that is written after everything else of it: what has a record is not done again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Union

from rethink_fr.files import stores, writing
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError
from rethink_fr.files.reading import (
    MAX_JSON_BYTES,
    UnreadableFile,
    file_size,
    file_stamp,
    folder_names,
    is_folder,
    read_bytes,
)
from rethink_fr.scale_out.work import Item

REPORT_NAME = "report.json"
DEAD_LETTERS = "dead_letters.jsonl"
OWN = ".rethink-fr"
_SETTINGS = f"{OWN}/settings.json"


@dataclass(frozen=True)
class OutputFolder:
    """Where outputs go. It is sent to the workers by pickling."""

    place: str  # path or address
    token: str  # of the calls that continue each other: records of others do not count

    def path(self, name: str) -> Path:
        """The path or address of a file."""
        return Path(self.place) / name

    def write(self, name: str, data: Union[bytes, memoryview], sync: bool = True) -> None:
        """Write a file, in place of one that is there: readers see the old one or the whole new one.

        Args:
            name: of the file.
            data: its contents.
            sync: see `files.writing.atomic_file`.

        Raises:
            OSError, WriteError: if it cannot be written.
        """
        path = self.path(name)
        if is_remote(path):
            stores.write_object(path, bytes(data))
        else:
            with writing.atomic_file(path, sync=sync) as file:
                file.write(data)

    def remove(self, name: str) -> None:
        """Remove a file; it does no harm if there is none."""
        if is_remote(self.place):
            stores.remove(self.path(name))
        else:
            with contextlib.suppress(FileNotFoundError):
                self.path(name).unlink()

    def finished(self, item: Item) -> Optional[Dict[str, Any]]:
        """What was said of an item that an earlier try finished, if its inputs are unchanged and its outputs there."""
        found = read_object(self.path(_record_name(item)))
        if found is None or found.get("token") != self.token:
            return None
        if found.get("inputs") != list(item.inputs) or found.get("stamps") != stamps(item):
            return None
        said = found.get("said")
        if not isinstance(said, dict) or not all(file_size(self.path(name)) is not None for name in said["outputs"]):
            return None
        return said

    def finish(self, item: Item, before: List[Optional[List[int]]], said: Dict[str, Any]) -> None:
        """Write the record of an item whose outputs are all there; `before` are its `stamps` before it was read."""
        record = {"token": self.token, "inputs": item.inputs, "stamps": before, "said": said}
        # Its outputs are on the disk. If it is lost with the machine, they are made again.
        self.write(_record_name(item), json.dumps(record).encode("ascii"), sync=False)

    def answers(self) -> bool:
        """Whether the folder can be reached: its settings are there, and say what they said."""
        return (read_object(self.path(_SETTINGS)) or {}).get("token") == self.token

    def clear(self) -> None:
        """Remove all records, and whatever else lies beside them."""
        own = self.path(OWN)
        if is_remote(own):
            for name in list(stores.names_below(own)):
                stores.remove(own / name)
        else:
            shutil.rmtree(own, ignore_errors=True)


def open_output(
    place: Path, settings: Dict[str, Any], inputs: Iterable[Path], overwrite: bool, option: str = "--output"
) -> OutputFolder:
    """Take a folder as the output of a call: a new or empty one, or that of an earlier call, which is continued.

    Args:
        place: of the folder.
        settings: of the call, as JSON. A call with others is not continued.
        inputs: files and folders that are read.
        overwrite: whether all is done anew, and files that are there already may be replaced.
        option: by which the user named the folder.

    Raises:
        OutputError: if it is of another call, holds other files, or holds inputs.
        OSError: if it cannot be written.
    """
    for given in inputs:
        if f"{_absolute(given)}/".startswith(f"{_absolute(place)}/"):
            raise OutputError(place, f"holds the input {printable(given)}; choose another {option}")
    advice = f"choose another {option}, or add --overwrite to do all anew"
    earlier = read_object(place / _SETTINGS)
    token = secrets.token_hex(8)
    if earlier is not None and not overwrite:
        wrong = [name for name, value in settings.items() if earlier.get("settings", {}).get(name) != value]
        if wrong or len(settings) != len(earlier.get("settings", {})):
            raise OutputError(place, f"is of a call with other settings ({', '.join(wrong)}); {advice}")
        token = earlier["token"]
    elif earlier is None and not overwrite and is_folder(place):
        foreign = [name for name in folder_names(place) if name != OWN]
        if foreign:
            raise OutputError(place, f"holds other files ({printable(foreign[0])}); {advice}")
    folder = OutputFolder(address(place) if is_remote(place) else os.path.abspath(place), token)
    folder.write(_SETTINGS, json.dumps({"token": token, "settings": settings}, indent=1).encode("ascii"))
    if not folder.answers():
        raise OutputError(place, "the store does not return what was just written to it; try again")
    return folder


def stamps(item: Item) -> List[Optional[List[int]]]:
    """Of each input its bytes and when it was changed, in nanoseconds: by these it is known again."""
    return [None if found is None else list(found) for found in map(file_stamp, map(Path, item.inputs))]


def below(paths: Iterable[Path], folder: Path) -> List[Path]:
    """Those of some paths that lie in a folder."""
    own = f"{_absolute(folder)}/"
    return [path for path in paths if _absolute(path).startswith(own)]


def read_lines(folder: OutputFolder, names: Sequence[str]) -> List[Dict[str, Any]]:
    """What was said of all items, from the files of a report, in the order of the items."""
    lines = [line for name in names for line in read_bytes(folder.path(name), MAX_JSON_BYTES).splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda said: said["number"])


def _record_name(item: Item) -> str:
    return f"{OWN}/finished/{item.digest[:2]}/{item.digest[2:]}.json"


def read_object(path: Path) -> Optional[Dict[str, Any]]:
    """The JSON object in a file; None if it is not there, or damaged."""
    try:
        found = json.loads(read_bytes(path, MAX_JSON_BYTES))
    except (UnreadableFile, OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _absolute(path: Path) -> str:
    return address(path).rstrip("/") if is_remote(path) else os.path.realpath(path)
