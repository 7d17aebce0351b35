"""What every supply of clean images offers: a length, and any image by its number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import List, Optional, Tuple

import numpy as np

from rethink_fr.data.sources.picture_list import PictureList

DEFAULT_CACHE_BYTES = 2_000_000_000


class ImageSource(ABC):
    """Random access to clean square images, safe to read from many threads.

    Args:
        count: number of images.
        resolution: side of the images that `read` returns, in pixels.
        cache_bytes: decoded images are kept in memory when all of them fit in this budget (2 GB unless told: 162,000
            images at 64 px, 2,500 at 512 px). Otherwise each is decoded at each reading.
    """

    def __init__(self, count: int, resolution: int, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        if resolution < 1:
            raise ValueError(f"{type(self).__name__}: expected a resolution of at least 1 pixel, got {resolution}")
        self.resolution = resolution
        self.unreadable: List[Tuple[str, str]] = []  # (name, reason) of what was left out
        self.pictures: Optional[PictureList] = None  # for what lies in files, when their contents are known
        self.changes: List[str] = []  # what is not as in the list that the source was opened by; sentences
        self._count = count
        # Pages of an empty array cost nothing until they are written.
        fits = count * resolution * resolution * 3 <= cache_bytes
        self._pixels: Optional[np.ndarray] = (
            np.empty((count, resolution, resolution, 3), np.uint8) if fits and count else None
        )
        self._known = np.zeros(count, bool)

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> np.ndarray:
        """Image number `index` as uint8 `[R, R, 3]`; not to be written to.

        Raises:
            IndexError: if there is no such image.
            UnreadableImage: if the image became unreadable since the source was opened.
        """
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(f"{type(self).__name__}: no image {index}; there are {len(self)}")
        return self._read_slot(self._slot(index))

    def _slot(self, index: int) -> int:
        """Where image `index` stands in the listing; the same, unless some of the listing was left out."""
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
            self._known[slot] = True  # last: another thread trusts the pixels once it sees this

    @abstractmethod
    def _load(self, slot: int) -> np.ndarray:
        """Decode what stands at `slot`, which exists, to uint8 `[R, R, 3]`."""


class MemorySource(ImageSource):
    """Images that are in memory already: uint8 `[N, R, R, 3]`."""

    def __init__(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
            raise ValueError(f"MemorySource: expected uint8 [N, R, R, 3], got {images.dtype} {list(images.shape)}")
        super().__init__(len(images), images.shape[1], cache_bytes=0)
        self._images = images

    def _load(self, slot: int) -> np.ndarray:
        return self._images[slot]


class SubsetSource(ImageSource):
    """Some images of another source, in the order of `indices`. Keeps nothing itself: the other one does."""

    def __init__(self, source: ImageSource, indices: np.ndarray) -> None:
        super().__init__(len(indices), source.resolution, cache_bytes=0)
        self.unreadable, self.pictures, self.changes = source.unreadable, source.pictures, source.changes
        self._source = source
        self._indices = indices

    def _load(self, slot: int) -> np.ndarray:
        return self._source.read(int(self._indices[slot]))
