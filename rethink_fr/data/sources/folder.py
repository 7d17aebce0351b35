"""A source whose images are the pictures in a folder or an LMDB: all of them, or those of a run's list."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import AbstractSet, Dict, List, NamedTuple, Optional, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.data.sources.image_source import (
    DEFAULT_CACHE_BYTES,
    ImageSource,
    PictureList,
    allowed_unreadable,
    too_many,
)
from rethink_fr.data.sources.picture_files import open_picture_files, require_pictures
from rethink_fr.files.addresses import address
from rethink_fr.files.names import listed_names, printable
from rethink_fr.pictures.files import UnreadableImage, decode_image, square_resize


class _Tried(NamedTuple):
    sha256: str  # "" if the file could not be read
    reason: str  # why it cannot be used, "" if it can


class FolderSource(ImageSource):
    """The images below a folder, or in an LMDB, in the order of their names, squared and resized by Lanczos.

    Every file is decoded once when the source is opened, so that damaged ones do not turn up in the middle of a run:
    they are left out and listed in `unreadable`. The decoded images are kept if they fit into `cache_bytes`; otherwise
    they are decoded each time they are read. After `rethink-fr prepare` both take less time.

    Args:
        path: the folder; see `open_picture_files`.
        resolution: of the images, in pixels.
        cache_bytes: see `ImageSource`.
        progress: show a progress bar if it takes longer than two seconds.
        listed: the pictures of a run, in its order. Other files are not used. A picture that is missing or unreadable
            keeps its number, and reading it raises an `UnreadableImage`. So does a training file that now has the
            content of a held-out one, or the other way round. `changes` tells all of this.

    Raises:
        ValueError: if no image in the folder can be read.
        RunFailure: if too many of the listed pictures are missing.
    """

    def __init__(
        self,
        path: Union[str, Path],
        resolution: int,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        progress: bool = True,
        listed: Optional[PictureList] = None,
    ) -> None:
        folder = Path(path)
        self._pictures = open_picture_files(folder)
        found = self._pictures.names
        names = require_pictures(self._pictures).names if listed is None else list(listed.sha256)
        self._names = names
        self._listed = list(listed.sha256.values()) if listed is not None else None
        self._first_held_out = len(names) - (listed.held_out if listed is not None else 0)
        contents = self._listed or []
        # What must not be read under a name of training, and under one that is held out.
        self._forbidden = (frozenset(contents[self._first_held_out :]), frozenset(contents[: self._first_held_out]))
        self._lost: Dict[int, str] = {}
        super().__init__(len(names), resolution, cache_bytes)
        tried = self._try_all(folder, progress)
        lost = {slot: result.reason for slot, result in enumerate(tried) if result.reason}
        if len(lost) == len(names):
            name, reason = self._shown(0), lost[0]
            raise ValueError(
                f"{printable(folder)}: none of its {len(names)} image files can be read; the first is "
                f"{printable(name)} ({reason})"
            )
        self.unreadable = [(self._shown(slot), reason) for slot, reason in lost.items()]
        if listed is None:
            self._slots = [slot for slot in range(len(names)) if slot not in lost]
            self.pictures = PictureList(
                "pictures",
                {names[slot]: tried[slot].sha256 for slot in self._slots},
                left_out={names[slot]: reason for slot, reason in lost.items()},
            )
            return
        self._slots, self._lost, self.pictures = list(range(len(names))), lost, listed
        if len(lost) > allowed_unreadable(len(names)):
            name, reason = self.unreadable[0]
            raise too_many(folder, len(lost), len(names), f"{name} ({reason})", "put them back as they were")
        self.unreadable += [(address(folder / name), reason) for name, reason in listed.left_out.items()]
        self._tell_changes(folder, names, found, tried, listed)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def names(self) -> List[str]:
        """The names of the files of image 0, 1, 2, ..."""
        return [self._shown(slot) for slot in self._slots]

    def _slot(self, index: int) -> int:
        return self._slots[index]

    def _load(self, slot: int) -> np.ndarray:
        if slot in self._lost:
            raise UnreadableImage(self._shown(slot), self._lost[slot])
        data, _ = self._pictures.read(self._names[slot])
        return square_resize(decode_image(data, self._shown(slot)), self.resolution)

    def _shown(self, slot: int) -> str:
        return address(self._pictures.folder / self._names[slot])

    def _try_all(self, folder: Path, progress: bool) -> List[_Tried]:
        with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
            return list(
                tqdm(
                    pool.map(self._try, range(len(self._names))),
                    total=len(self._names),
                    desc=f"reading {printable(folder.name)}",
                    unit="image",
                    delay=2,  # a bar only for what takes longer than two seconds
                    disable=not progress,
                )
            )

    def _try(self, slot: int) -> _Tried:
        sha256 = ""
        try:
            data, sha256 = self._pictures.read(self._names[slot])
            held_out = slot >= self._first_held_out
            if self._listed is not None and sha256 != self._listed[slot] and sha256 in self._forbidden[held_out]:
                other = "a training picture" if held_out else "a held-out picture"
                return _Tried(sha256, f"holds what was {other} when the run started")
            image = decode_image(data, self._shown(slot))
            if self._pixels is not None:
                self._keep(slot, square_resize(image, self.resolution))
        except UnreadableImage as error:
            return _Tried(sha256, error.reason)
        return _Tried(sha256, "")

    def _tell_changes(
        self, folder: Path, names: List[str], found: List[str], tried: List[_Tried], listed: PictureList
    ) -> None:
        known: AbstractSet[str] = listed.sha256.keys() | listed.left_out.keys()
        self._tell(folder, [name for name in found if name not in known], "new since this run started, not used by it")
        changed = [
            slot
            for slot, sha256 in enumerate(listed.sha256.values())
            if tried[slot].sha256 != sha256 and slot not in self._lost
        ]
        for held_out, gone_means, changed_means in (
            (False, "gone or unreadable, replaced by the next ones", "changed since this run started, used as now"),
            (
                True,
                "held out and gone or unreadable, validated without",
                "held out and changed since this run started, so that figures before and after do not compare",
            ),
        ):
            lost = [slot for slot in self._lost if (slot >= self._first_held_out) == held_out]
            self._tell(folder, [f"{names[slot]} ({self._lost[slot]})" for slot in lost], gone_means)
            other = [names[slot] for slot in changed if (slot >= self._first_held_out) == held_out]
            self._tell(folder, other, changed_means)

    def _tell(self, folder: Path, names: List[str], what: str) -> None:
        if names:
            self.changes.append(f"{printable(folder)}: {len(names):,} {what}: {listed_names(names)}")
