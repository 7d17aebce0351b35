"""What is at the place of a prepared folder already: the same, something damaged, or something that is not touched."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Collection, Optional

from rethink_fr.data.sources.manifest import MANIFEST_NAME, DamagedRecordsError, Manifest, read_manifest
from rethink_fr.data.sources.record_files import file_sha256s
from rethink_fr.data.sources.records import check_size
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.stores import listing_before_writing

_OUR_SHARD = re.compile(r"images-\d{5,}\.tfrecord")


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


def refuse_other_content(earlier: Manifest, output_dir: Path, source_sha256: str) -> None:
    """Refuse a prepared folder that was made from anything else.

    Raises:
        ValueError: if so.
    """
    if earlier.source_sha256 != source_sha256:
        raise ValueError(
            f"{printable(output_dir)}: holds images prepared from other files or with other settings; "
            "choose another --output, or remove that folder first"
        )


def is_intact(manifest: Manifest, folder: Path, progress: bool) -> bool:
    """Whether all shards are there, and as the manifest says."""
    try:
        files = [check_size(folder, shard) for shard in manifest.shards]
    except DamagedRecordsError:
        return False
    return file_sha256s(files, progress, "checking") == [shard.sha256 for shard in manifest.shards]
