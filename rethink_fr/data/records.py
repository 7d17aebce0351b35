"""Prepared images: TFRecord shards with a manifest, read at any position.

A TFRecord file is a row of `length (8 bytes), masked CRC of the length (4), data, masked CRC of the data (4)`, all
little-endian; TensorFlow reads it from its beginning only. Training wants any image at any time, so the place of every
record is taken from the manifest that `rethink-fr prepare` wrote, or found by walking over the lengths.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Tuple, Union

import numpy as np

from rethink_fr.data.crc32c import masked_crc32c
from rethink_fr.data.image_files import UnreadableImage, decode_image, square_resize
from rethink_fr.data.image_source import DEFAULT_CACHE_BYTES, ImageSource

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
IMAGE_KEY = "image/encoded"
NAME_KEY = "image/name"

HEADER_BYTES = 12  # length and its CRC
FOOTER_BYTES = 4  # CRC of the data
_MAX_RECORD_BYTES = 1 << 30


class DamagedRecordsError(ValueError):
    """A shard that is not the file it should be; the message names it and what to do."""


def frame_record(data: bytes) -> bytes:
    """`data` as one record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


@dataclass(frozen=True)
class Shard:
    """One TFRecord file of a prepared folder: its name there, its size and the byte at which each record begins."""

    name: str
    bytes: int
    sha256: str
    offsets: Tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What a prepared folder holds."""

    resolution: int
    source_sha256: str  # of the names and contents of the images it was made from
    enlarged: int  # images that were smaller than the resolution
    shards: Tuple[Shard, ...]
    unreadable: Tuple[Tuple[str, str], ...]  # (name, reason) of the files that were left out

    @property
    def records(self) -> int:
        """Images in all shards."""
        return sum(len(shard.offsets) for shard in self.shards)

    def to_json(self) -> str:
        """The text of `manifest.json`."""
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
        content = {
            "version": MANIFEST_VERSION,
            "resolution": self.resolution,
            "source_sha256": self.source_sha256,
            "enlarged": self.enlarged,
            "records": self.records,
            "shards": shards,
            "unreadable": [{"name": name, "reason": reason} for name, reason in self.unreadable],
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def read_manifest(folder: Union[str, Path]) -> Optional[Manifest]:
    """The manifest of a prepared folder, or None where there is none.

    Raises:
        DamagedRecordsError: if there is one that this version cannot read.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.exists():
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != MANIFEST_VERSION:
            raise DamagedRecordsError(
                f"{path}: version {content['version']} of the manifest, expected {MANIFEST_VERSION}; run prepare again"
            )
        shards = []
        for entry in content["shards"]:
            offsets = tuple(int(offset) for offset in entry["offsets"])
            if len(offsets) != entry["records"]:
                raise ValueError(f"{entry['name']} has {len(offsets)} offsets for {entry['records']} records")
            shards.append(Shard(str(entry["name"]), int(entry["bytes"]), str(entry["sha256"]), offsets))
        unreadable = tuple((str(entry["name"]), str(entry["reason"])) for entry in content["unreadable"])
        return Manifest(
            int(content["resolution"]),
            str(content["source_sha256"]),
            int(content["enlarged"]),
            tuple(shards),
            unreadable,
        )
    except DamagedRecordsError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedRecordsError(f"{path}: not a manifest of prepared images ({error}); run prepare again") from error


def list_shards(folder: Union[str, Path]) -> List[Path]:
    """The `*.tfrecord` files directly in `folder`, sorted; hidden ones are work in progress and skipped."""
    return sorted(path for path in Path(folder).glob("*.tfrecord") if not path.name.startswith("."))


def scan_offsets(path: Path) -> Tuple[int, ...]:
    """Byte at which each record of a TFRecord file begins, found by walking over the lengths.

    Raises:
        DamagedRecordsError: if a length's CRC is wrong (no TFRecord file, or a compressed one) or the file ends early.
    """
    size = path.stat().st_size
    offsets: List[int] = []
    offset = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            length = _record_length(file.read(HEADER_BYTES), path, len(offsets))
            following = offset + HEADER_BYTES + length + FOOTER_BYTES
            if following > size:
                raise DamagedRecordsError(
                    f"{path}: ends inside record {len(offsets)} (expected {following} bytes or more, has {size}); "
                    "copy the file again or run prepare again"
                )
            offsets.append(offset)
            offset = following
    return tuple(offsets)


class RecordSource(ImageSource):
    """The images of a folder of TFRecord shards, in the order of the shards; feature `image/encoded` holds the file.

    Raises:
        DamagedRecordsError: if a shard is missing, truncated or not uncompressed TFRecord.
        ValueError: if there is no record, or the images were prepared smaller than `resolution`.
    """

    def __init__(self, path: Union[str, Path], resolution: int, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        folder = Path(path)
        manifest = read_manifest(folder)
        if manifest is None:
            shards = [(file, scan_offsets(file)) for file in list_shards(folder)]
        else:
            if manifest.resolution < resolution:
                raise ValueError(
                    f"{folder}: prepared at {manifest.resolution} px, but {resolution} px are wanted; "
                    f"run `rethink-fr prepare --size {resolution}` on the original images"
                )
            shards = [(_checked_shard(folder, shard), shard.offsets) for shard in manifest.shards]
        self._shards = [shard for shard, _ in shards]
        counts = [len(offsets) for _, offsets in shards]
        self._shard_of = np.repeat(np.arange(len(shards)), counts)
        self._number_in_shard = np.concatenate([np.arange(count) for count in counts] or [np.arange(0)])
        self._offsets = np.array([offset for _, offsets in shards for offset in offsets], np.int64)
        if not len(self._offsets):
            raise ValueError(f"{folder}: its TFRecord files hold no record; run prepare on a folder of images")
        super().__init__(len(self._offsets), resolution, cache_bytes)
        self.unreadable = list(manifest.unreadable) if manifest else []

    def _load(self, slot: int) -> np.ndarray:
        path = self._shards[int(self._shard_of[slot])]
        number = int(self._number_in_shard[slot])
        encoded = _encoded_image(_read_record(path, int(self._offsets[slot]), number), path, number)
        return square_resize(decode_image(encoded, f"{path} record {number}"), self.resolution)


def _checked_shard(folder: Path, shard: Shard) -> Path:
    path = folder / shard.name
    size = path.stat().st_size if path.is_file() else 0
    if size != shard.bytes:
        raise DamagedRecordsError(
            f"{path}: expected {shard.bytes} bytes by the manifest, found {size}; "
            "copy the folder again or run prepare again"
        )
    return path


def _read_record(path: Path, offset: int, number: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            length = _record_length(file.read(HEADER_BYTES), path, number)
            data = file.read(length)
            footer = file.read(FOOTER_BYTES)
    except OSError as error:
        raise UnreadableImage(f"{path} record {number}", error.strerror or type(error).__name__) from error
    if len(footer) != FOOTER_BYTES:
        raise DamagedRecordsError(f"{path}: ends inside record {number}; copy the file again or run prepare again")
    if struct.pack("<I", masked_crc32c(data)) != footer:
        raise DamagedRecordsError(f"{path}: record {number} is damaged (wrong CRC); copy the file again")
    return data


def _record_length(header: bytes, path: Path, number: int) -> int:
    if len(header) == HEADER_BYTES:
        length, checksum = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) == checksum and length <= _MAX_RECORD_BYTES:
            return length
    raise DamagedRecordsError(
        f"{path}: no TFRecord header where record {number} should begin; "
        "the file is damaged, compressed or not TFRecord: copy it again or run prepare again"
    )


def _encoded_image(data: bytes, path: Path, number: int) -> bytes:
    import tensorflow as tf  # only here: the container's format needs none
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(data).features.feature
    except DecodeError:
        features = {}
    values = features[IMAGE_KEY].bytes_list.value if IMAGE_KEY in features else []
    if len(values) != 1:
        found = ", ".join(sorted(features)) or "none"
        raise DamagedRecordsError(
            f"{path}: record {number} has no bytes feature {IMAGE_KEY!r} with one image (features found: {found}); "
            "run prepare on the original images"
        )
    return bytes(values[0])
