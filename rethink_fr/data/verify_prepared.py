"""`rethink-fr prepare --verify`: checks every file and every image of a prepared folder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from rethink_fr.data.sources.manifest import DamagedRecordsError, read_manifest
from rethink_fr.data.sources.record_files import (
    encoded_image,
    file_sha256s,
    list_shards,
    read_record,
    record_name,
    scan_offsets,
)
from rethink_fr.data.sources.records import check_size
from rethink_fr.files.names import printable
from rethink_fr.files.reading import file_size, is_folder
from rethink_fr.pictures.files import UnreadableImage, decode_image

_AT_A_TIME = 1024  # records


class VerifyReport(NamedTuple):
    """What `verify_prepared` found."""

    records: int  # number of records that should be in the folder
    shards: int  # number of files that should be in it
    wrong: Tuple[Tuple[str, str], ...]  # (file or record, reason) of what is wrong, in the order of the folder


class _Record(NamedTuple):
    path: Path
    offset: int
    number: int


def verify_prepared(folder: Union[str, Path], progress: bool = True) -> VerifyReport:
    """Check the shards by the sizes and SHA-256 in the manifest, and that each record is whole and has an image in it.

    If a folder of TFRecord files has no manifest, only the records are checked.

    Args:
        folder: made by `prepare`.
        progress: show progress bars on stderr for what takes longer than two seconds.

    Raises:
        ValueError: if there is no such folder, there are no records in it, or its manifest cannot be read.
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise ValueError(f"{printable(folder)}: no such folder; expected one made by `rethink-fr prepare`")
    manifest, files = read_manifest(folder), list_shards(folder)
    if manifest is None and not files:
        raise ValueError(
            f"{printable(folder)}: holds no prepared images; expected a folder made by `rethink-fr prepare`"
        )
    wrong: List[Tuple[str, str]] = []
    records: List[_Record] = []
    if manifest is None:
        for path in files:
            try:
                records += [_Record(path, offset, number) for number, offset in enumerate(scan_offsets(path))]
            except ValueError as error:
                wrong.append(_named(path, error))
        wrong += _unreadable_records(records, None, progress)
        return VerifyReport(len(records), len(files), tuple(wrong))
    paths = [folder / shard.name for shard in manifest.shards]
    for shard, path, sha256 in zip(manifest.shards, paths, file_sha256s(paths, progress, "checking")):
        try:
            check_size(folder, shard)
        except DamagedRecordsError as error:
            wrong.append(_named(path, error))
            if file_size(path) is None:
                continue
        else:
            if sha256 != shard.sha256:
                wrong.append((str(path), "is damaged (wrong SHA-256)"))
        records += [_Record(path, offset, number) for number, offset in enumerate(shard.offsets)]
    wrong += _unreadable_records(records, manifest.resolution, progress)
    foreign = [path for path in files if path not in paths]
    wrong += [(str(path), "is not in the manifest, and not used") for path in foreign]
    return VerifyReport(manifest.records, len(manifest.shards), tuple(wrong))


def _unreadable_records(records: Sequence[_Record], side: Optional[int], progress: bool) -> Iterator[Tuple[str, str]]:
    """Name and reason of each record without an image, or whose image is not `side` pixels square (None: any size)."""

    def try_one(record: _Record) -> Optional[Tuple[str, str]]:
        name = record_name(record.path, record.number)
        try:
            data = read_record(record.path, record.offset, record.number)
            shape = decode_image(encoded_image(data, name), name).shape
        except UnreadableImage as error:
            return name, error.reason
        if side is not None and shape[:2] != (side, side):
            return name, f"has {shape[1]} x {shape[0]} pixels, expected {side} x {side}"
        return None

    bar = tqdm(total=len(records), desc="decoding", unit="image", delay=2, disable=not progress)
    with bar, ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
        for first in range(0, len(records), _AT_A_TIME):
            for found in pool.map(try_one, records[first : first + _AT_A_TIME]):
                bar.update()
                if found is not None:
                    yield found


def _named(path: Path, error: Exception) -> Tuple[str, str]:
    """The path, and the error's message without the path that it begins with."""
    return str(path), str(error).removeprefix(f"{printable(path)}: ")
