"""A source whose images are in the TFRecord files of a prepared folder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.data.sources.image_source import (
    DEFAULT_CACHE_BYTES,
    ImageSource,
    PictureList,
    allowed_unreadable,
    too_many,
)
from rethink_fr.data.sources.manifest import DamagedRecordsError, Manifest, Shard, read_manifest
from rethink_fr.data.sources.record_files import (
    RecordColumns,
    encoded_image,
    file_sha256s,
    list_shards,
    read_record,
    record_columns,
    record_name,
    scan_offsets,
)
from rethink_fr.files.names import listed_names, printable
from rethink_fr.files.reading import file_size
from rethink_fr.pictures.files import UnreadableImage, decode_image, square_resize


class _Shard(NamedTuple):
    path: Path
    sha256: Optional[str]  # as it should be; None where nothing says
    offsets: Tuple[int, ...]


class RecordSource(ImageSource):
    """The images of TFRecord files (shards), in their order. An image is in the feature `image/encoded` of a record.

    Args:
        path: the folder.
        resolution: of the images, in pixels.
        cache_bytes: see `ImageSource`.
        check: compare the shards with their SHA-256. If one differs, its damaged records are listed in `unreadable`,
            and the others are used. Without this check `pictures` is None.
        progress: show a progress bar for the check if it takes longer than two seconds.
        listed: the shards of a run, in its order. Others are not used; `changes` names them. Needs `check`.

    Raises:
        DamagedRecordsError: if a shard is missing, truncated, compressed, or another one than in the list.
        ValueError: if there is no record, or the images were prepared smaller than `resolution`.
        RunFailure: if too many records are damaged.
    """

    def __init__(
        self,
        path: Union[str, Path],
        resolution: int,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        check: bool = False,
        progress: bool = True,
        listed: Optional[PictureList] = None,
    ) -> None:
        folder = Path(path)
        manifest = read_manifest(folder)
        if manifest is not None and manifest.resolution < resolution:
            raise ValueError(
                f"{printable(folder)}: prepared at {manifest.resolution} px, but {resolution} px are wanted; "
                f"run `rethink-fr prepare --size {resolution}` on the original images"
            )
        self._prepared_at = None if manifest is None else manifest.resolution
        shards = _found(folder, manifest)
        new: List[str] = []
        if listed is not None:
            shards, new = _as_listed(folder, shards, listed)
        self._shards = [shard.path for shard in shards]
        counts = [len(shard.offsets) for shard in shards]
        self._shard_of = np.repeat(np.arange(len(shards)), counts)
        self._number_in_shard = np.concatenate([np.arange(count) for count in counts] or [np.arange(0)])
        self._offsets = np.array([offset for shard in shards for offset in shard.offsets], np.int64)
        self._lost: Dict[int, str] = {}
        if not len(self._offsets):
            raise ValueError(
                f"{printable(folder)}: its TFRecord files hold no record; run prepare on a folder of images"
            )
        super().__init__(len(self._offsets), resolution, cache_bytes)
        self.unreadable = list(manifest.unreadable) if manifest else []
        if new:
            self.changes.append(
                f"{printable(folder)}: {listed_names(new)} came since this run started and is not used by it"
            )
        if check:
            self._check(folder, shards, progress)
        if listed is not None:
            self.pictures = listed

    def columns(self, progress: bool = True) -> List[RecordColumns]:
        """Name, identity and landmarks of each image, in order. All records are read.

        A record that cannot be read has the name "" and no columns. Landmarks are at the resolution of the source.
        """
        scale = 1.0 if self._prepared_at is None else self.resolution / self._prepared_at

        def one(slot: int) -> RecordColumns:
            path, number = self._place(slot)
            name = record_name(path, number)
            try:
                found = record_columns(read_record(path, int(self._offsets[slot]), number), name)
            except UnreadableImage:
                return RecordColumns("", None, None)
            if found.landmarks is None:
                return found
            return found._replace(landmarks=(found.landmarks + 0.5) * scale - 0.5)

        with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
            made = pool.map(one, range(len(self)))
            bar = tqdm(made, "reading columns", len(self), unit="image", delay=2, disable=not progress)
            return list(bar)

    def _load(self, slot: int) -> np.ndarray:
        path, number = self._place(slot)
        name = record_name(path, number)
        if slot in self._lost:
            raise UnreadableImage(name, self._lost[slot])
        encoded = encoded_image(read_record(path, int(self._offsets[slot]), number), name)
        return square_resize(decode_image(encoded, name), self.resolution)

    def _place(self, slot: int) -> Tuple[Path, int]:
        return self._shards[int(self._shard_of[slot])], int(self._number_in_shard[slot])

    def _check(self, folder: Path, shards: Sequence[_Shard], progress: bool) -> None:
        found = file_sha256s(self._shards, progress, f"checking {printable(folder.name)}")
        for number, (shard, sha256) in enumerate(zip(shards, found)):
            if shard.sha256 is None or sha256 == shard.sha256:
                continue
            lost = self._damaged(number)
            if not lost:
                raise DamagedRecordsError(
                    f"{printable(shard.path)}: is another file than it was (its SHA-256 differs, its records are "
                    "whole); put the right one back"
                )
            self._lost.update(lost)
            self.unreadable += [(record_name(*self._place(slot)), reason) for slot, reason in lost.items()]
            self.changes.append(
                f"{printable(shard.path)}: is damaged (wrong SHA-256): {len(lost)} of its {len(shard.offsets)} records "
                f"are skipped; see `rethink-fr prepare --verify {printable(folder)}`"
            )
        if len(self._lost) > min(allowed_unreadable(len(self)), len(self) - 1):
            first = record_name(*self._place(next(iter(self._lost))))
            raise too_many(folder, len(self._lost), len(self), first, verify_advice(folder))
        self.pictures = PictureList(
            "shards",
            {shard.path.name: shard.sha256 or sha256 or "" for shard, sha256 in zip(shards, found)},
            tuple(len(shard.offsets) for shard in shards),
        )

    def _damaged(self, shard: int) -> Dict[int, str]:
        """The records of one shard that cannot be read, and the reasons."""
        lost: Dict[int, str] = {}
        for slot in np.flatnonzero(self._shard_of == shard).tolist():
            try:
                read_record(self._shards[shard], int(self._offsets[slot]), int(self._number_in_shard[slot]))
            except UnreadableImage as error:
                lost[slot] = error.reason
        return lost


def verify_advice(folder: Union[str, Path]) -> str:
    """Tells the user what to do about damaged records."""
    return f"run `rethink-fr prepare --verify {printable(folder)}` and put the damaged files back"


def check_size(folder: Path, shard: Shard) -> Path:
    """The path of a shard, after checking that the file has the size in the manifest.

    Raises:
        DamagedRecordsError: if it does not exist or has another size.
    """
    path = folder / shard.name
    size = file_size(path) or 0
    if size != shard.bytes:
        raise DamagedRecordsError(
            f"{printable(path)}: expected {shard.bytes} bytes by the manifest, found {size}; "
            "copy the folder again or run prepare again"
        )
    return path


def _found(folder: Path, manifest: Optional[Manifest]) -> List[_Shard]:
    if manifest is None:
        return [_Shard(path, None, scan_offsets(path)) for path in list_shards(folder)]
    return [_Shard(check_size(folder, shard), shard.sha256, shard.offsets) for shard in manifest.shards]


def _as_listed(folder: Path, shards: Sequence[_Shard], listed: PictureList) -> Tuple[List[_Shard], List[str]]:
    """The shards of a run's list, in its order, and the names of those that are not in it."""
    there = {shard.path.name: shard for shard in shards}
    kept = []
    for (name, sha256), records in zip(listed.sha256.items(), listed.records):
        shard = there.pop(name, None)
        if shard is None or len(shard.offsets) != records or shard.sha256 not in (None, sha256):
            raise DamagedRecordsError(
                f"{printable(folder / name)}: {'is gone' if shard is None else 'is another one'} since this run "
                "started, so that held-out pictures could get into training; put the folder back as it was, or start "
                "another run with --init and another --output"
            )
        kept.append(shard._replace(sha256=sha256))
    return kept, list(there)
