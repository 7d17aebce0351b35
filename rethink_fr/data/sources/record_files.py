"""Writing TFRecord files, and reading any record of them.

A TFRecord file is a row of `length (8 bytes), masked CRC of the length (4), data, masked CRC of the data (4)`, all
little-endian. TensorFlow reads it from the beginning only. Training needs any image at any time, so the places of the
records are taken from the manifest that `rethink-fr prepare` wrote, or found by going from length to length.
"""

from __future__ import annotations

import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rethink_fr.data.sources.manifest import DamagedRecordsError
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.crc32c import masked_crc32c
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, file_size, folder_names, is_folder, open_regular
from rethink_fr.files.stores import blocks
from rethink_fr.pictures.files import UnreadableImage

IMAGE_KEY = "image/encoded"
NAME_KEY = "image/name"
IDENTITY_KEY = "image/identity"  # who is on it; optional
LANDMARKS_KEY = "image/landmarks"  # x, y, x, y, ... in pixels of the prepared picture; optional

HEADER_BYTES = 12  # length and its CRC
FOOTER_BYTES = 4  # CRC of the data
_MAX_RECORD_BYTES = 128 << 20  # a picture of 6,000 pixels square without compression
_MAX_SHARD_BYTES = 1 << 50
_BLOCK = 1 << 20  # bytes hashed at a time


def frame_record(data: bytes) -> bytes:
    """One record of a TFRecord file with this data."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def list_shards(folder: Union[str, Path]) -> List[Path]:
    """The `*.tfrecord` files directly in `folder`, sorted. Hidden ones are left out: they are not complete."""
    folder = Path(folder)
    if not is_folder(folder):
        return []
    names = (name for name in folder_names(folder) if name.endswith(".tfrecord") and not name.startswith("."))
    return [folder / name for name in names]


def open_shard(path: Path) -> IO[bytes]:
    """Open a shard for reading.

    Raises:
        UnreadableFile: if it does not exist or is not a regular file.
    """
    return open_regular(path, _MAX_SHARD_BYTES)


def scan_offsets(path: Path) -> Tuple[int, ...]:
    """Find the byte at which each record of a TFRecord file begins, by going from length to length.

    Raises:
        DamagedRecordsError: if the CRC of a length is wrong, as in compressed files, or the end is missing.
        UnreadableFile: if it cannot be read.
    """
    offsets: List[int] = []
    offset = 0
    with open_shard(path) as file:
        size = file.seek(0, os.SEEK_END)
        while offset < size:
            file.seek(offset)
            length = _record_length(file.read(HEADER_BYTES))
            if length is None:
                raise DamagedRecordsError(
                    f"{printable(path)}: no TFRecord header where record {len(offsets)} should begin; "
                    "the file is damaged, compressed or not TFRecord: copy it again or run prepare again"
                )
            following = offset + HEADER_BYTES + length + FOOTER_BYTES
            if following > size:
                raise DamagedRecordsError(
                    f"{printable(path)}: ends inside record {len(offsets)} (expected {following} bytes or more, has "
                    f"{size}); copy the file again or run prepare again"
                )
            offsets.append(offset)
            offset = following
    return tuple(offsets)


def read_record(path: Path, offset: int, number: int) -> bytes:
    """Read the data of the record that begins at the byte `offset`.

    Raises:
        UnreadableImage: if it is damaged or cannot be read. `path` and `number` name the record.
    """
    name = record_name(path, number)
    try:
        with open_shard(path) as file:
            file.seek(offset)
            length = _record_length(file.read(HEADER_BYTES))
            if length is None:
                raise UnreadableImage(name, "damaged (no TFRecord header)")
            data = file.read(length)
            footer = file.read(FOOTER_BYTES)
    except UnreadableFile as error:
        raise UnreadableImage(name, error.reason) from error
    except OSError as error:
        raise UnreadableImage(name, error.strerror or type(error).__name__) from error
    if len(footer) != FOOTER_BYTES or struct.pack("<I", masked_crc32c(data)) != footer:
        raise UnreadableImage(name, "damaged (wrong CRC)")
    return data


def encoded_image(data: bytes, name: str) -> bytes:
    """The image file in the data of a record.

    Raises:
        UnreadableImage: if the data is not a `tf.train.Example` with one image.
    """
    import tensorflow as tf  # only here: the container's format needs none
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(data).features.feature
    except DecodeError:
        features = {}
    values = features[IMAGE_KEY].bytes_list.value if IMAGE_KEY in features else []
    if len(values) != 1:
        found = printable(", ".join(sorted(features)) or "none")
        raise UnreadableImage(name, f"no bytes feature {IMAGE_KEY!r} with one image (features found: {found[:200]})")
    return bytes(values[0])


class RecordColumns(NamedTuple):
    """What a record says beside its image."""

    name: str  # of the file that the image was made from; "" if it does not say
    identity: Optional[str]  # who is on it
    landmarks: Optional[NDArray[np.float32]]  # [L, 2]: x, y in pixels of the prepared image


def record_columns(data: bytes, name: str) -> RecordColumns:
    """What the data of a record says beside its image; `name` names the record in errors.

    Raises:
        UnreadableImage: if the data is not a `tf.train.Example`, or its columns are not those that `prepare` writes.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(data).features.feature
    except DecodeError:
        raise UnreadableImage(name, "no tf.train.Example") from None

    def text(key: str) -> Optional[str]:
        values = features[key].bytes_list.value if key in features else []
        return values[0].decode("utf-8", "surrogateescape") if len(values) == 1 else None

    landmarks = None
    if LANDMARKS_KEY in features:
        landmarks = np.array(features[LANDMARKS_KEY].float_list.value, np.float32)
        if len(landmarks) % 2:
            raise UnreadableImage(name, f"an odd number of values in {LANDMARKS_KEY}")
        landmarks = landmarks.reshape(-1, 2)
    return RecordColumns(text(NAME_KEY) or "", text(IDENTITY_KEY), landmarks)


def record_name(path: Path, number: int) -> str:
    """The name of a record in messages."""
    return f"{path} record {number}"


def file_sha256s(files: Sequence[Path], progress: bool, what: str) -> List[Optional[str]]:
    """The SHA-256 of each file; None for a file that cannot be read. Several files are read at the same time.

    Args:
        files: their paths.
        progress: show a progress bar on stderr if it takes longer than two seconds.
        what: the label of the progress bar.
    """
    total = sum(file_size(path) or 0 for path in files)
    bar = tqdm(total=total, desc=what, unit="B", unit_scale=True, delay=2, disable=not progress)
    with bar, ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:

        def one(path: Path) -> Optional[str]:
            digest = hashlib.sha256()
            try:
                for block in _blocks(path):
                    digest.update(block)
                    bar.update(len(block))
            except (UnreadableFile, OSError):
                return None
            return digest.hexdigest()

        return list(pool.map(one, files))


def _blocks(path: Path) -> Iterator[bytes]:
    """The content of a file, in pieces of a size that suits its place."""
    if is_remote(path):
        yield from blocks(path)
        return
    with open_shard(path) as file:
        yield from iter(lambda: file.read(_BLOCK), b"")


def _record_length(header: bytes) -> Optional[int]:
    """The length in the header of a record; None if these bytes are not a header."""
    if len(header) == HEADER_BYTES:
        length, checksum = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) == checksum and length <= _MAX_RECORD_BYTES:
            return int(length)
    return None
