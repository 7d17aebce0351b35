"""Which pictures a run trains on and which are held out, fixed when it starts: the file `pictures.json` in its folder.

Folders of pictures change while a run is interrupted. The run goes by its list: new pictures are not used, missing ones
keep their number, and what was held out stays held out.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from rethink_fr.data.sources.image_source import PictureList
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import write_json

LIST_NAME = "pictures.json"

_VERSION = 1
_MAX_RECORDS = 1 << 40
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PictureListError(ValueError):
    """A list of pictures that cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class RunLists:
    """The lists of a run; None for pictures that are drawn, or that are held out of the training folder.

    A run on several folders has a list for each of them in place of `train`.
    """

    train: Optional[PictureList] = None
    validation: Optional[PictureList] = None
    folders: Tuple[PictureList, ...] = ()

    def fingerprint(self) -> int:
        """A number of 63 bits; it differs if anything in the lists differs, also their order."""
        digest = hashlib.sha256()
        for pictures in (self.train, self.validation, *self.folders):
            digest.update(b"\n\n")
            if pictures is not None:
                held_out = f"{pictures.held_out} {pictures.held_out_records or ''}".strip()
                digest.update(f"{pictures.kind} {held_out} {pictures.records}\n".encode())
                for name, content in pictures.sha256.items():
                    digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
        return int.from_bytes(digest.digest()[:8], "little") >> 1


def read_lists(run: Union[str, Path]) -> Optional[RunLists]:
    """Read the lists of the run in a folder; None if it has none yet.

    Raises:
        PictureListError: if the file exists but cannot be used.
    """
    path = Path(run) / LIST_NAME
    if not os.path.lexists(path):
        return None
    try:
        content = read_json(path, "the list of a run's pictures")
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError(f"expected version {_VERSION} of the list")
        folders = [_parsed(one) for one in _list(content.get("folders", []))]
        if None in folders:
            raise ValueError("a folder has no list")
        return RunLists(
            _parsed(content.get("train")),
            _parsed(content.get("validation")),
            tuple(one for one in folders if one is not None),
        )
    except (ValueError, KeyError, TypeError) as error:
        reason = error.reason if isinstance(error, UnreadableFile) else str(error)
        raise PictureListError(
            f"{printable(path)}: not the list of this run's pictures ({printable(reason[:200])}); put back a copy of "
            "it, or remove it: it is then made anew of what the folders hold, and other pictures may be held out"
        ) from error


def write_lists(run: Union[str, Path], lists: RunLists) -> None:
    """Write `pictures.json` into a run's folder.

    Raises:
        WriteError: if it cannot be written.
    """
    content: Dict[str, Any] = {"version": _VERSION}
    for name, pictures in (("train", lists.train), ("validation", lists.validation)):
        content[name] = None if pictures is None else pictures.content()
    if lists.folders:
        content["folders"] = [pictures.content() for pictures in lists.folders]
    write_json(Path(run) / LIST_NAME, content)


def _parsed(content: Any) -> Optional[PictureList]:
    if content is None:
        return None
    kind, sha256, held_out = content["kind"], _texts(content["sha256"]), content["held_out"]
    if kind not in ("pictures", "shards"):
        raise ValueError(f"kind {kind!r}")
    for name, digest in sha256.items():
        if not _stays_inside(name) or not _SHA256.fullmatch(digest):
            raise ValueError(f"{name!r} is no file of the folder, or has no SHA-256")
    records = content["records"] if kind == "shards" else []
    if not isinstance(records, list) or any(
        type(count) is not int or not 0 <= count < _MAX_RECORDS for count in records
    ):
        raise ValueError("records are not numbers")
    if kind == "shards" and len(records) != len(sha256):
        raise ValueError(f"{len(records)} numbers of records for {len(sha256)} shards")
    pictures = PictureList(kind, sha256, tuple(records), _texts(content["left_out"]))
    if type(held_out) is not int or not 0 <= held_out < max(1, len(pictures)):
        raise ValueError(f"cannot hold out {held_out!r} of {len(pictures)}")
    numbers = _list(content.get("held_out_records", []))
    if any(type(number) is not int or not 0 <= number < len(pictures) for number in numbers) or sorted(
        set(numbers)
    ) != list(numbers):
        raise ValueError("held_out_records are no numbers of its records, or not in order")
    return PictureList(kind, sha256, tuple(records), pictures.left_out, held_out, tuple(numbers))


def _list(value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value


def _texts(value: Any) -> Dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("expected names with texts")
    return value


def _stays_inside(name: str) -> bool:
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))
