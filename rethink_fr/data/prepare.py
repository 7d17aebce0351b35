"""`rethink-fr prepare`: makes checked TFRecord files, with a manifest, from folders or archives of images."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.data.preparation.earlier import earlier_manifest, is_intact, refuse_other_content
from rethink_fr.data.preparation.picture import (
    NOTHING,
    Picture,
    Preparation,
    check_alignment,
    columns_of,
    prepare_picture,
)
from rethink_fr.data.preparation.pool import prepare_all, processes_for
from rethink_fr.data.preparation.unfinished import Entry, Finished, Unfinished, entry_of, forget, unfinished
from rethink_fr.data.sources.manifest import MANIFEST_NAME, Manifest, Shard
from rethink_fr.data.sources.picture_files import PictureFiles, open_with_archives, require_pictures
from rethink_fr.data.sources.record_files import (
    IDENTITY_KEY,
    IMAGE_KEY,
    LANDMARKS_KEY,
    NAME_KEY,
    frame_record,
)
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.stores import put_folder
from rethink_fr.files.writing import clear_temporary, move_folder, write_error, write_json
from rethink_fr.pictures.files import UnreadableImage

_READERS = 8  # files that are compared at a time


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
    *,
    align: bool = False,
    columns: Optional[Path] = None,
    folder_identities: bool = False,
    processes: int = 1,
) -> PrepareReport:
    """Write the images below a folder as PNG into TFRecord files, all of them squares of the same size.

    The work is done in `OUTPUT.unfinished`, which becomes `output_dir` in one step at the end. After an interruption
    the same call goes on with the shard that was not finished; the result is the same, to the byte. If `output_dir` has
    the result already, it is checked and left as it is; if its shards are damaged, they are made again. If it has
    anything else in it, it is never touched.

    Args:
        input_dir: the images, at any depth, in zip and tar files too; or one such file.
        output_dir: the prepared folder; created if it does not exist.
        size: side of the prepared images, in pixels. The central square of each image is resized by Lanczos.
        shard_size: number of images in one TFRecord file.
        progress: show a progress bar on stderr if it takes longer than two seconds.
        align: cut out the largest face of each photo instead, framed as in FFHQ; photos without a face are left out.
        columns: a CSV file that says who is on each picture, or where its landmarks are; see `read_columns`. What it
            says nothing of is left out.
        folder_identities: take the name of the folder that a picture is in for who is on it.
        processes: number of processes, 0 to choose it by the number of pictures. More than one are started as Python's
            `multiprocessing` starts them ("spawn"): a script needs its `if __name__ == "__main__"`.

    Raises:
        ValueError: if no image can be read, the columns cannot be used, or the output folder has something else in it,
            is being made by another process or cannot be written.
        RunFailure: if a process dies.
    """
    if size < 8 or shard_size < 1:
        raise ValueError(f"prepare: expected a size of at least 8 and a shard of at least 1, got {size}, {shard_size}")
    output_dir = Path(output_dir)
    found, sha256 = columns_of(columns)
    if folder_identities and found is not None and found.has_identity:
        raise ValueError(f"{printable(columns or '')}: has identities; expected none where folders are identities")
    how = Preparation(size, align, found, folder_identities, sha256)
    if align:
        check_alignment()
    files = require_pictures(open_with_archives(Path(input_dir)))
    # A link is followed, not replaced.
    target = output_dir if is_remote(output_dir) else Path(os.path.realpath(output_dir))
    try:
        earlier = earlier_manifest(target)
        if earlier is not None:
            refuse_other_content(earlier, output_dir, _source_sha256(files, how, shard_size, progress))
            if is_intact(earlier, target, progress):
                forget(target)
                return report_of(output_dir, earlier, unchanged=True)
        if not is_remote(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            clear_temporary(target.parent)
        source = files.folder if is_remote(files.folder) else files.folder.absolute()
        with unfinished(target, f"{how} {shard_size} {address(source)}", files) as work:
            manifest = _write_shards(files, work, how, shard_size, processes, progress)
            write_json(work.records / MANIFEST_NAME, manifest.content())
            if is_remote(target):
                put_folder(work.records, target, MANIFEST_NAME)
            else:
                if earlier is not None:
                    earlier_manifest(target)  # raises if something else was put there meanwhile: it would be removed
                move_folder(work.records, target, replace=earlier is not None)
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


def _write_shards(
    files: PictureFiles, work: Unfinished, how: Preparation, shard_size: int, processes: int, progress: bool
) -> Manifest:
    """Make the shards that are not finished yet."""
    done = len(work.entries)
    names = files.names[done:]
    pictures = prepare_all(files, names, how, processes_for(len(names), processes))
    bar = tqdm(pictures, "preparing", len(files.names), initial=done, unit="image", delay=2, disable=not progress)
    writer: Optional[_ShardWriter] = None
    entries: List[Entry] = []  # since the last finished shard
    for picture in bar:
        entries.append(entry_of(files, picture.name, picture.sha256, picture.enlarged, picture.reason))
        record = _record(picture)
        if record is None:
            continue
        writer = writer or _ShardWriter(work.records, len(work.finished))
        writer.add(record)
        if len(writer.offsets) == shard_size:
            work.add(Finished(writer.close(), entries))
            writer, entries = None, []
    if writer is not None:
        work.add(Finished(writer.close(), entries))
        entries = []
    every = [*work.entries, *entries]
    shards = tuple(finished.shard for finished in work.finished)
    unreadable = tuple((entry.name, entry.reason) for entry in every if entry.reason)
    require_shards(files, shards, unreadable)
    digests = [(entry.name, entry.sha256) for entry in every]
    enlarged = sum(entry.enlarged for entry in every)
    return Manifest(how.size, fingerprint(digests, how, shard_size), enlarged, shards, unreadable, _settings(how))


def _settings(how: Preparation) -> Dict[str, Any]:
    """What the manifest says of a preparation beside its size; nothing where all is as by default."""
    said: Dict[str, Any] = {"aligned": True} if how.align else {}
    said.update({"identities": True} if how.has_identities else {})
    said.update({"landmarks": list(how.landmarks)} if how.landmarks else {})
    return said


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


def prepare_one(files: PictureFiles, name: str, size: int) -> Prepared:
    """Make the record of one image: its central square at `size` px, as PNG."""
    picture = prepare_picture(files, name, Preparation(size))
    return Prepared(name, picture.sha256, _record(picture), picture.enlarged, picture.reason)


def _record(picture: Picture) -> Optional[bytes]:
    """The framed `tf.train.Example` of a picture; None if it is left out."""
    if picture.encoded is None:
        return None
    import tensorflow as tf  # only here, so that wrong arguments are found without it

    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        IMAGE_KEY: of_bytes(picture.encoded),
        NAME_KEY: of_bytes(picture.name.encode("utf-8", "surrogateescape")),
    }
    if picture.identity is not None:
        features[IDENTITY_KEY] = of_bytes(picture.identity.encode("utf-8", "surrogateescape"))
    if picture.landmarks is not None:
        values = np.ravel(picture.landmarks).astype(np.float32).tolist()
        features[LANDMARKS_KEY] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return frame_record(example.SerializeToString(deterministic=True))


def fingerprint(digests: Sequence[Tuple[str, str]], how: Union[Preparation, int], shard_size: int) -> str:
    """The SHA-256 of what a prepared folder is made from: of each file its name and the SHA-256 of its contents.

    `how` is a `Preparation`, or the size alone.
    """
    digest = hashlib.sha256(f"{how} {shard_size}\n".encode())
    for name, content in digests:
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _source_sha256(files: PictureFiles, how: Preparation, shard_size: int, progress: bool) -> str:
    def digest(name: str) -> Tuple[str, str]:
        try:
            return name, files.read(name)[1]
        except UnreadableImage:
            return name, NOTHING

    with ThreadPoolExecutor(_READERS) as pool:
        bar = tqdm(total=len(files.names), desc="comparing", unit="image", delay=2, disable=not progress)
        digests: List[Tuple[str, str]] = []
        for first in range(0, len(files.names), 16 * _READERS):
            digests += pool.map(digest, files.names[first : first + 16 * _READERS])
            bar.update(len(digests) - bar.n)
        bar.close()
    return fingerprint(digests, how, shard_size)
