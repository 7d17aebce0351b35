"""Sources of clean images: what all of them offer, and those that pass on the images of another one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Literal, Mapping, Optional, Tuple, Union

import numpy as np

from rethink_fr.errors import RunFailure
from rethink_fr.files.names import printable
from rethink_fr.pictures.files import UnreadableImage

DEFAULT_CACHE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class PictureList:
    """The pictures of one folder, in the order in which a run numbers them."""

    kind: Literal["pictures", "shards"]  # what the files are: one picture each, or TFRecord files
    sha256: Mapping[str, str]  # of each file, by its name relative to the folder, with `/` between folders; in order
    records: Tuple[int, ...] = ()  # number of pictures in each shard, in the same order; () if the files are pictures
    left_out: Mapping[str, str] = field(default_factory=dict)  # files that could not be read at that time, and why
    held_out: int = 0  # number of pictures at the end that are held out of training
    held_out_records: Tuple[int, ...] = ()  # the numbers of others that are, in one of several prepared folders

    def __len__(self) -> int:
        return sum(self.records) if self.kind == "shards" else len(self.sha256)

    def content(self) -> Dict[str, Any]:
        """What the run's `pictures.json` holds of it."""
        said: Dict[str, Any] = {"kind": self.kind, "held_out": self.held_out, "sha256": dict(self.sha256)}
        if self.kind == "shards":
            said["records"] = list(self.records)
        if self.held_out_records:
            said["held_out_records"] = list(self.held_out_records)
        return {**said, "left_out": dict(self.left_out)}


class ImageSource(ABC):
    """Clean square images, each of which can be read at any time, by its number and from any thread.

    Subclasses implement `_load`.

    Args:
        count: number of images.
        resolution: side of the images that `read` returns, in pixels.
        cache_bytes: keep the decoded images in memory if all of them fit into so many bytes. The default of 2 GB is
            enough for 162,000 images at 64 px or 2,500 at 512 px. Otherwise an image is decoded each time it is read.

    Attributes:
        unreadable: name and reason of each file that was left out.
        pictures: the list of the files and their contents; None if the images are not in files.
        changes: sentences about what differs from the list by which the source was opened.
    """

    def __init__(self, count: int, resolution: int, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        if resolution < 1:
            raise ValueError(f"{type(self).__name__}: expected a resolution of at least 1 pixel, got {resolution}")
        self.resolution = resolution
        self.unreadable: List[Tuple[str, str]] = []
        self.pictures: Optional[PictureList] = None
        self.changes: List[str] = []
        self._count = count
        # Pages of an empty array take no memory until something is written to them.
        fits = count * resolution * resolution * 3 <= cache_bytes
        self._pixels: Optional[np.ndarray] = (
            np.empty((count, resolution, resolution, 3), np.uint8) if fits and count else None
        )
        self._known = np.zeros(count, bool)

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> np.ndarray:
        """Read one image, uint8 `[R, R, 3]` RGB. The array must not be written to.

        Raises:
            IndexError: if there is no image of this number.
            UnreadableImage: if the image can no longer be read.
        """
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(f"{type(self).__name__}: no image {index}; there are {len(self)}")
        return self._read_slot(self._slot(index))

    def _slot(self, index: int) -> int:
        """The place of image `index` in the listing of files. Another number if some of them were left out."""
        return index

    def _read_slot(self, slot: int) -> np.ndarray:
        if self._pixels is None:
            return self._load(slot)
        if not self._known[slot]:
            self._keep(slot, self._load(slot))
        view = self._pixels[slot]
        view.flags.writeable = False
        return view

    def _keep(self, slot: int, image: np.ndarray) -> None:
        if self._pixels is not None:
            self._pixels[slot] = image
            self._known[slot] = True  # last, since other threads trust the pixels as soon as they see it

    @abstractmethod
    def _load(self, slot: int) -> np.ndarray:
        """Decode the image at a place of the listing to uint8 `[R, R, 3]`."""


class MemorySource(ImageSource):
    """Images that are in memory already: uint8 `[N, R, R, 3]`.

    Raises:
        ValueError: if they have another type or shape.
    """

    def __init__(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
            raise ValueError(f"MemorySource: expected uint8 [N, R, R, 3], got {images.dtype} {list(images.shape)}")
        super().__init__(len(images), images.shape[1], cache_bytes=0)
        self._images = images

    def _load(self, slot: int) -> np.ndarray:
        return self._images[slot]


class SubsetSource(ImageSource):
    """Some images of another source, in the order of `indices`."""

    def __init__(self, source: ImageSource, indices: np.ndarray) -> None:
        super().__init__(len(indices), source.resolution, cache_bytes=0)  # the other source has the cache
        self.unreadable, self.pictures, self.changes = source.unreadable, source.pictures, source.changes
        self._source = source
        self._indices = indices

    def _load(self, slot: int) -> np.ndarray:
        return self._source.read(int(self._indices[slot]))


class SkippingSource(ImageSource):
    """The images of another source. An image that cannot be read is replaced by the next one that can.

    So training goes on, unless too many images cannot be read. Which image replaces another one depends only on which
    ones can be read. Each image that was skipped is added to `unreadable`.

    Args:
        source: the images.
        folder: where they are, for the error.
        advice: what to do if too many cannot be read, for the error.

    Attributes:
        on_skip: called with name and reason when an image is skipped for the first time; from any thread.
    """

    def __init__(self, source: ImageSource, folder: Union[str, Path], advice: str) -> None:
        super().__init__(len(source), source.resolution, cache_bytes=0)  # the other source has the cache
        self.unreadable = list(source.unreadable)
        self.on_skip: Callable[[str, str], None] = lambda name, reason: None
        self._source = source
        self._folder = folder
        self._advice = advice
        self._skipped: Dict[int, UnreadableImage] = {}
        self._lock = threading.Lock()

    def _load(self, slot: int) -> np.ndarray:
        for step in range(len(self)):
            place = (slot + step) % len(self)
            if place in self._skipped:
                continue
            try:
                return self._source.read(place)
            except UnreadableImage as error:
                self._skip(place, error)
        raise self._failure()

    def _skip(self, place: int, error: UnreadableImage) -> None:
        with self._lock:  # so that the same image is not told by several threads
            if place in self._skipped:
                return
            self._skipped[place] = error
            if not any(name == error.name for name, _ in self.unreadable):
                self.unreadable.append((error.name, error.reason))
                self.on_skip(error.name, error.reason)
            if len(self._skipped) > allowed_unreadable(len(self)):
                raise self._failure()

    def _failure(self) -> RunFailure:
        error = next(iter(self._skipped.values()))
        return too_many(self._folder, len(self._skipped), len(self), f"{error.name} ({error.reason})", self._advice)


def allowed_unreadable(count: int) -> int:
    """How many of `count` pictures may be unreadable without stopping a run: one in a hundred, and at least ten."""
    return max(10, count // 100)


def too_many(folder: Union[str, Path], unreadable: int, count: int, first: str, advice: str) -> RunFailure:
    """The error for more unreadable pictures than `allowed_unreadable`.

    Args:
        folder: where the pictures are.
        unreadable: how many of the `count` pictures cannot be read.
        count: number of pictures.
        first: one of the unreadable ones, and the reason.
        advice: what to do.
    """
    return RunFailure(
        f"{printable(folder)}: {unreadable} of the run's {count} pictures there cannot be read, for example "
        f"{printable(first)}; more than {min(allowed_unreadable(count), count - 1)} are too many: {advice}"
    )
