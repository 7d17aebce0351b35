"""`rethink-fr prepare`: a folder of images becomes validated, sharded TFRecord files with a manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from rethink_fr.data.image_files import UnreadableImage, decode_image, encode_png, list_images, square_resize
from rethink_fr.data.records import (
    IMAGE_KEY,
    MANIFEST_NAME,
    NAME_KEY,
    Manifest,
    Shard,
    frame_record,
    list_shards,
    read_manifest,
)

_FILES_AT_A_TIME = 64  # decoded ahead of the writer; bounds the memory


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did."""

    output: Path
    written: int  # images in the prepared folder
    shards: int
    enlarged: int  # images that were smaller than the size asked for
    unreadable: Tuple[Tuple[str, str], ...]  # (name, reason) of the files left out
    unchanged: bool  # the folder held exactly this already; nothing was written


class _Prepared(NamedTuple):
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
    """Write the images below `input_dir` to `output_dir` as TFRecord shards of PNG images, `size` pixels square.

    The work is done in a hidden folder beside `output_dir`, which appears only when complete: after an interruption,
    run it again. A folder that holds exactly the result already is verified and left alone; if its shards are damaged
    they are made again; a folder that holds anything else is never touched.

    Args:
        input_dir: searched at any depth.
        output_dir: made if need be.
        size: side of the prepared images; others are cropped to their central square and resized by Lanczos.
        shard_size: images in one TFRecord file.
        progress: show a bar on stderr if it takes longer than two seconds.

    Raises:
        ValueError: if there is no readable image, the output holds something else, or cannot be written.
    """
    if size < 8 or shard_size < 1:
        raise ValueError(f"prepare: expected a size of at least 8 and a shard of at least 1, got {size}, {shard_size}")
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    files = list_images(input_dir)
    if not files:
        raise ValueError(f"{input_dir}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth")
    partial = output_dir.absolute().parent / f".{output_dir.absolute().name}.partial"
    try:
        earlier = _earlier_manifest(output_dir)
        if earlier is not None:
            _refuse_other_content(earlier, output_dir, _source_sha256(files, input_dir, size, shard_size, progress))
            if _is_intact(earlier, output_dir):
                return _report(output_dir, earlier, unchanged=True)
        shutil.rmtree(partial, ignore_errors=True)  # left by an interrupted run
        partial.mkdir(parents=True)
        try:
            manifest = _write_shards(files, input_dir, partial, size, shard_size, progress)
            (partial / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
            if earlier is not None:
                shutil.rmtree(output_dir)  # the damaged shards of this very content
            elif output_dir.exists():
                output_dir.rmdir()  # empty
            os.replace(partial, output_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise ValueError(f"{output_dir}: cannot be written ({error.strerror}); choose another --output") from error
    return _report(output_dir, manifest, unchanged=False)


def _report(output: Path, manifest: Manifest, unchanged: bool) -> PrepareReport:
    return PrepareReport(
        output, manifest.records, len(manifest.shards), manifest.enlarged, manifest.unreadable, unchanged
    )


def _write_shards(
    files: Sequence[Path], input_dir: Path, folder: Path, size: int, shard_size: int, progress: bool
) -> Manifest:
    shards: List[Shard] = []
    unreadable: List[Tuple[str, str]] = []
    digests: List[Tuple[str, str]] = []
    records: List[bytes] = []
    enlarged = 0
    for item in _prepared(files, input_dir, size, progress):
        digests.append((item.name, item.digest))
        if item.record is None:
            unreadable.append((item.name, item.reason))
            continue
        enlarged += item.enlarged
        records.append(item.record)
        if len(records) == shard_size:
            shards.append(_write_shard(folder, len(shards), records))
            records = []
    if records:
        shards.append(_write_shard(folder, len(shards), records))
    if not shards:
        name, reason = unreadable[0]
        raise ValueError(
            f"{input_dir}: none of its {len(files)} image files can be read; the first is {name} ({reason})"
        )
    return Manifest(size, _fingerprint(digests, size, shard_size), enlarged, tuple(shards), tuple(unreadable))


def _write_shard(folder: Path, number: int, records: Sequence[bytes]) -> Shard:
    name = f"images-{number:05d}.tfrecord"
    digest = hashlib.sha256()
    offsets = []
    offset = 0
    with (folder / name).open("wb") as file:
        for record in records:
            offsets.append(offset)
            offset += file.write(record)
            digest.update(record)
        file.flush()
        os.fsync(file.fileno())  # the rename at the end must not outlive the contents
    return Shard(name, offset, digest.hexdigest(), tuple(offsets))


def _prepared(files: Sequence[Path], input_dir: Path, size: int, progress: bool) -> Iterator[_Prepared]:
    """The files in order, each squared, resized, encoded and framed, several at a time."""
    bar = tqdm(total=len(files), desc="preparing", unit="image", delay=2, disable=not progress)
    with bar, ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
        for first in range(0, len(files), _FILES_AT_A_TIME):
            for item in pool.map(
                lambda path: _prepare_one(path, input_dir, size), files[first : first + _FILES_AT_A_TIME]
            ):
                bar.update()
                yield item


def _prepare_one(path: Path, input_dir: Path, size: int) -> _Prepared:
    name = path.relative_to(input_dir).as_posix()
    data = b""
    try:
        data = path.read_bytes()
        image = decode_image(data, name)
    except (UnreadableImage, OSError) as error:
        reason = error.reason if isinstance(error, UnreadableImage) else str(error.strerror)
        return _Prepared(name, hashlib.sha256(data).hexdigest(), None, False, reason)
    record = frame_record(_example(name, encode_png(square_resize(image, size))))
    return _Prepared(name, hashlib.sha256(data).hexdigest(), record, min(image.shape[:2]) < size, "")


def _example(name: str, encoded: bytes) -> bytes:
    import tensorflow as tf  # only here: errors in arguments are found without it

    features = {
        IMAGE_KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        NAME_KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode("utf-8", "surrogateescape")])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _fingerprint(digests: Sequence[Tuple[str, str]], size: int, shard_size: int) -> str:
    digest = hashlib.sha256(f"{size} {shard_size}\n".encode())
    for name, content in digests:
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _source_sha256(files: Sequence[Path], input_dir: Path, size: int, shard_size: int, progress: bool) -> str:
    digests = []
    for path in tqdm(files, desc="comparing", unit="image", delay=2, disable=not progress):
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        digests.append((path.relative_to(input_dir).as_posix(), hashlib.sha256(data).hexdigest()))
    return _fingerprint(digests, size, shard_size)


def _earlier_manifest(output_dir: Path) -> Optional[Manifest]:
    """The manifest that `output_dir` holds; None if there is nothing there.

    Raises:
        ValueError: if it holds something that `prepare` did not make.
    """
    if not output_dir.exists():
        return None
    if not output_dir.is_dir():
        raise ValueError(f"{output_dir}: is a file; expected a folder to write to: choose another --output")
    manifest = read_manifest(output_dir)
    ours = {MANIFEST_NAME, *(path.name for path in list_shards(output_dir))} if manifest else set()
    foreign = sorted(entry.name for entry in output_dir.iterdir() if entry.name not in ours)
    if foreign:
        raise ValueError(
            f"{output_dir}: holds other files ({foreign[0]}{', ...' if len(foreign) > 1 else ''}); "
            "expected a new or empty folder: choose another --output"
        )
    return manifest


def _refuse_other_content(earlier: Manifest, output_dir: Path, source_sha256: str) -> None:
    if earlier.source_sha256 != source_sha256:
        raise ValueError(
            f"{output_dir}: holds images prepared from other files or with another size; "
            "choose another --output, or remove that folder first"
        )


def _is_intact(manifest: Manifest, folder: Path) -> bool:
    for shard in manifest.shards:
        path = folder / shard.name
        if not path.is_file() or path.stat().st_size != shard.bytes:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        if digest.hexdigest() != shard.sha256:
            return False
    return True
