"""`rethink-fr prepare`: makes checked TFRecord files, in shards and with a manifest, from a folder of images."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Collection, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from rethink_fr.data.sources.manifest import MANIFEST_NAME, DamagedRecordsError, Manifest, Shard, read_manifest
from rethink_fr.data.sources.picture_files import PictureFiles, open_picture_files, require_pictures
from rethink_fr.data.sources.record_files import IMAGE_KEY, NAME_KEY, file_sha256s, frame_record
from rethink_fr.data.sources.records import check_size
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.stores import listing_before_writing
from rethink_fr.files.writing import new_folder, write_error, write_json
from rethink_fr.pictures.files import UnreadableImage, decode_image, encode_png, square_resize

_FILES_AT_A_TIME = 64  # decoded ahead of writing; limits the memory
_NOTHING = hashlib.sha256(b"").hexdigest()  # for a file that cannot be read
_OUR_SHARD = re.compile(r"images-\d{5,}\.tfrecord")


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did."""

    output: Path
    written: int  # number of images in the prepared folder
    shards: int  # number of TFRecord files
    enlarged: int  # number of images that were smaller than the size asked for
    unreadable: Tuple[Tuple[str, str], ...]  # (name, reason) of the files that were left out
    unchanged: bool  # whether the folder had exactly this content already, so that nothing was written


class Prepared(NamedTuple):
    """What a file became."""

    name: str
    digest: str  # SHA-256 of the file
    record: Optional[bytes]  # None if unreadable
    enlarged: bool
    reason: str


def prepare(
    input_dir: Union[str, Path],
    output_dir: Union[str, Path],
    size: int = 512,
    shard_size: int = 1024,
    progress: bool = True,
) -> PrepareReport:
    """Write the images below a folder as PNG into TFRecord files, all of them squares of the same size.

    The work is done in a hidden folder beside `output_dir`, which takes its place in one step at the end. So after an
    interruption the same call starts again. If `output_dir` has the result already, it is checked and left as it is; if
    its shards are damaged, they are made again. If it has anything else in it, it is never touched.

    Args:
        input_dir: the images, at any depth.
        output_dir: the prepared folder; created if it does not exist.
        size: side of the prepared images, in pixels. The central square of each image is resized by Lanczos.
        shard_size: number of images in one TFRecord file.
        progress: show a progress bar on stderr if it takes longer than two seconds.

    Raises:
        ValueError: if no image can be read, or the output folder has something else in it or cannot be written.
    """
    if size < 8 or shard_size < 1:
        raise ValueError(f"prepare: expected a size of at least 8 and a shard of at least 1, got {size}, {shard_size}")
    output_dir = Path(output_dir)
    files = require_pictures(open_picture_files(Path(input_dir)))
    # A link is followed, not replaced.
    target = output_dir if is_remote(output_dir) else Path(os.path.realpath(output_dir))
    try:
        earlier = earlier_manifest(target)
        if earlier is not None:
            _refuse_other_content(earlier, output_dir, _source_sha256(files, size, shard_size, progress))
            if _is_intact(earlier, target, progress):
                return report_of(output_dir, earlier, unchanged=True)
        with new_folder(target, replace=earlier is not None, last=MANIFEST_NAME) as partial:
            manifest = _write_shards(files, partial, size, shard_size, progress)
            write_json(partial / MANIFEST_NAME, manifest.content())
            if earlier is not None:
                earlier_manifest(target)  # raises if something else was put there meanwhile, which would be removed
    except OSError as error:
        raise write_error(output_dir, error) from error
    return report_of(output_dir, manifest, unchanged=False)


def report_of(output: Path, manifest: Manifest, unchanged: bool) -> PrepareReport:
    """What is said of a prepared folder with this manifest."""
    return PrepareReport(
        output, manifest.records, len(manifest.shards), manifest.enlarged, manifest.unreadable, unchanged
    )


class _ShardWriter:
    """Writes one shard, record by record."""

    def __init__(self, folder: Path, number: int) -> None:
        self._name = f"images-{number:05d}.tfrecord"
        self._file: IO[bytes] = (folder / self._name).open("xb")
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.offsets: List[int] = []

    def add(self, record: bytes) -> None:
        self.offsets.append(self._bytes)
        self._bytes += self._file.write(record)
        self._digest.update(record)

    def close(self) -> Shard:
        self._file.close()
        return Shard(self._name, self._bytes, self._digest.hexdigest(), tuple(self.offsets))


def _write_shards(files: PictureFiles, folder: Path, size: int, shard_size: int, progress: bool) -> Manifest:
    shards: List[Shard] = []
    unreadable: List[Tuple[str, str]] = []
    digests: List[Tuple[str, str]] = []
    writer: Optional[_ShardWriter] = None
    enlarged = 0
    for item in _prepared(files, size, progress):
        digests.append((item.name, item.digest))
        if item.record is None:
            unreadable.append((item.name, item.reason))
            continue
        enlarged += item.enlarged
        writer = writer or _ShardWriter(folder, len(shards))
        writer.add(item.record)
        if len(writer.offsets) == shard_size:
            shards.append(writer.close())
            writer = None
    if writer is not None:
        shards.append(writer.close())
    require_shards(files, shards, unreadable)
    return Manifest(size, fingerprint(digests, size, shard_size), enlarged, tuple(shards), tuple(unreadable))


def require_shards(files: PictureFiles, shards: Sequence[Shard], unreadable: Sequence[Tuple[str, str]]) -> None:
    """Refuse a folder of which no image can be read.

    Raises:
        ValueError: naming the first of them.
    """
    if not shards:
        name, reason = unreadable[0]
        raise ValueError(
            f"{printable(files.folder)}: none of its {len(files.names)} image files can be read; the first is "
            f"{printable(name)} ({reason})"
        )


def _prepared(files: PictureFiles, size: int, progress: bool) -> Iterator[Prepared]:
    """Prepare the files, several at a time; yields them in their order."""
    bar = tqdm(total=len(files.names), desc="preparing", unit="image", delay=2, disable=not progress)
    with bar, ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
        for first in range(0, len(files.names), _FILES_AT_A_TIME):
            batch = files.names[first : first + _FILES_AT_A_TIME]
            for item in pool.map(lambda name: prepare_one(files, name, size), batch):
                bar.update()
                yield item


def prepare_one(files: PictureFiles, name: str, size: int) -> Prepared:
    """Make the record of one image: its central square at `size` px, as PNG."""
    digest = _NOTHING
    try:
        data, digest = files.read(name)
        image = decode_image(data, name)
    except UnreadableImage as error:
        return Prepared(name, digest, None, False, error.reason)
    record = frame_record(_example(name, encode_png(square_resize(image, size))))
    return Prepared(name, digest, record, min(image.shape[:2]) < size, "")


def _example(name: str, encoded: bytes) -> bytes:
    import tensorflow as tf  # only here, so that wrong arguments are found without it

    features = {
        IMAGE_KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        NAME_KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode("utf-8", "surrogateescape")])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def fingerprint(digests: Sequence[Tuple[str, str]], size: int, shard_size: int) -> str:
    """The SHA-256 of what a prepared folder is made from: of each file its name and the SHA-256 of its contents."""
    digest = hashlib.sha256(f"{size} {shard_size}\n".encode())
    for name, content in digests:
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _source_sha256(files: PictureFiles, size: int, shard_size: int, progress: bool) -> str:
    digests = []
    for name in tqdm(files.names, desc="comparing", unit="image", delay=2, disable=not progress):
        try:
            _, digest = files.read(name)
        except UnreadableImage:
            digest = _NOTHING
        digests.append((name, digest))
    return fingerprint(digests, size, shard_size)


def earlier_manifest(output_dir: Path) -> Optional[Manifest]:
    """The manifest in `output_dir`; None if there is no such folder.

    Raises:
        ValueError: if there is something in it that `prepare` has not made.
    """
    if is_remote(output_dir):
        return _earlier_on_store(output_dir)
    if not os.path.lexists(output_dir):
        return None
    shown = printable(output_dir)
    if not output_dir.is_dir():
        raise ValueError(f"{shown}: is a file; expected a folder to write to: choose another --output")
    manifest = read_manifest(output_dir)
    special = {
        entry.name for entry in os.scandir(output_dir) if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
    }
    _refuse_foreign(output_dir, manifest, os.listdir(output_dir), special)
    return manifest


def _earlier_on_store(output: Path) -> Optional[Manifest]:
    """As `earlier_manifest`, for an address. Shards without a manifest are what an interrupted call has left."""
    names = listing_before_writing(output)
    manifest = read_manifest(output) if MANIFEST_NAME in names else None
    unfinished = [name for name in names if manifest is None and _OUR_SHARD.fullmatch(name)]
    _refuse_foreign(output, manifest, set(names) - set(unfinished))
    return manifest


def _refuse_foreign(
    folder: Path, manifest: Optional[Manifest], names: Collection[str], special: Collection[str] = ()
) -> None:
    """Refuse a folder with names that are not those of the manifest, or `special` ones, which are no plain files."""
    ours = {MANIFEST_NAME, *(shard.name for shard in manifest.shards)} if manifest else set()
    foreign = sorted(
        name
        for name in names
        if name not in ours or name in special or not (name == MANIFEST_NAME or _OUR_SHARD.fullmatch(name))
    )
    if foreign:
        raise ValueError(
            f"{printable(folder)}: holds other files ({printable(foreign[0])}{', ...' if len(foreign) > 1 else ''}); "
            "expected a new or empty folder: choose another --output"
        )


def _refuse_other_content(earlier: Manifest, output_dir: Path, source_sha256: str) -> None:
    if earlier.source_sha256 != source_sha256:
        raise ValueError(
            f"{printable(output_dir)}: holds images prepared from other files or with another size; "
            "choose another --output, or remove that folder first"
        )


def _is_intact(manifest: Manifest, folder: Path, progress: bool) -> bool:
    try:
        files = [check_size(folder, shard) for shard in manifest.shards]
    except DamagedRecordsError:
        return False
    return file_sha256s(files, progress, "checking") == [shard.sha256 for shard in manifest.shards]
