"""The manifest of a prepared folder, `manifest.json`: what is in the folder. It is checked, not trusted."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from rethink_fr.files import stores
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1

_MAX_MANIFEST_BYTES = 64 << 20  # four million records
_MAX_SIDE = 1 << 16
_SMALLEST_RECORD = 16  # bytes of a record without data: its length and two checksums
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AGAIN = "remove the folder and run prepare again"


class DamagedRecordsError(ValueError):
    """A manifest or a shard is damaged or is another file; the message names it and what to do."""


@dataclass(frozen=True)
class Shard:
    """One TFRecord file of a prepared folder: its name, its size, and the byte at which each record begins."""

    name: str
    bytes: int
    sha256: str
    offsets: Tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What is in a prepared folder."""

    resolution: int
    source_sha256: str  # of the names and contents of the images it was made from
    enlarged: int  # number of images that were smaller than the resolution
    shards: Tuple[Shard, ...]
    unreadable: Tuple[Tuple[str, str], ...]  # (name, reason) of the files that were left out
    # "aligned" and "identities" (true if so), "landmarks" (their names); nothing if all is as by default.
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """The number of images in all shards."""
        return sum(len(shard.offsets) for shard in self.shards)

    def content(self) -> Dict[str, Any]:
        """The content of `manifest.json`, for `files.writing.write_json`."""
        shards = [
            {
                "name": shard.name,
                "records": len(shard.offsets),
                "bytes": shard.bytes,
                "sha256": shard.sha256,
                "offsets": list(shard.offsets),
            }
            for shard in self.shards
        ]
        return {
            "version": MANIFEST_VERSION,
            "resolution": self.resolution,
            "source_sha256": self.source_sha256,
            "enlarged": self.enlarged,
            **({"settings": dict(self.settings)} if self.settings else {}),
            "records": self.records,
            "shards": shards,
            "unreadable": [{"name": name, "reason": reason} for name, reason in self.unreadable],
        }


def read_manifest(folder: Union[str, Path]) -> Optional[Manifest]:
    """Read the manifest of a prepared folder; None if there is none.

    Raises:
        DamagedRecordsError: if this version cannot read it, or its content is impossible.
    """
    path = Path(folder) / MANIFEST_NAME
    if stores.size(path) is None if is_remote(path) else not os.path.lexists(path):
        return None
    try:
        content = read_json(path, "a manifest of prepared images", _MAX_MANIFEST_BYTES)
    except UnreadableFile as error:
        raise DamagedRecordsError(f"{error}; {_AGAIN}") from error
    try:
        return _manifest(content)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedRecordsError(
            f"{printable(path)}: not a manifest of prepared images ({printable(reason[:200])}); {_AGAIN}"
        ) from error


def _manifest(content: Any) -> Manifest:
    if not isinstance(content, dict):
        raise ValueError(f"holds a {type(content).__name__}")
    if content["version"] != MANIFEST_VERSION:
        raise ValueError(f"version {content['version']!r}, expected {MANIFEST_VERSION}")
    shards = tuple(_shard(entry) for entry in _list(content, "shards"))
    if len({shard.name for shard in shards}) != len(shards):
        raise ValueError("two shards have the same name")
    return Manifest(
        _integer(content, "resolution", 1, _MAX_SIDE),
        _text(content, "source_sha256"),
        _integer(content, "enlarged"),
        shards,
        tuple((_text(entry, "name"), _text(entry, "reason")) for entry in _list(content, "unreadable")),
        _settings(content.get("settings", {})),
    )


def _settings(said: Any) -> Dict[str, Any]:
    landmarks = said.get("landmarks", []) if isinstance(said, dict) else None
    if not isinstance(landmarks, list) or not all(isinstance(name, str) for name in landmarks):
        raise ValueError("its settings are not those of a preparation")
    return dict(said)


def _shard(entry: Any) -> Shard:
    name, size, offsets = _text(entry, "name"), _integer(entry, "bytes"), _list(entry, "offsets")
    if not is_plain_name(name):
        raise ValueError(f"{name!r} is no name of a file in this folder")
    if not _SHA256.fullmatch(_text(entry, "sha256")):
        raise ValueError(f"{name} has no SHA-256 of 64 digits")
    if len(offsets) != _integer(entry, "records"):
        raise ValueError(f"{name} has {len(offsets)} offsets for {entry['records']} records")
    end = 0
    for offset in offsets:
        if type(offset) is not int or not end <= offset <= size - _SMALLEST_RECORD:
            raise ValueError(f"{name} has an offset that is not a number, not in order or beyond its {size} bytes")
        end = offset + _SMALLEST_RECORD
    return Shard(name, size, entry["sha256"], tuple(offsets))


def is_plain_name(name: str) -> bool:
    """Whether `name` is the plain name of a file, without parts that lead to another folder."""
    return bool(name) and not name.startswith(".") and "/" not in name and "\0" not in name


def _integer(entry: Any, key: str, least: int = 0, most: int = 2**62) -> int:
    value = entry[key]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{key} is not a number from {least} to {most}")
    return value


def _text(entry: Any, key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    return value


def _list(entry: Any, key: str) -> List[Any]:
    value = entry[key]
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")
    return value
