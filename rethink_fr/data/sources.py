"""Where clean images come from: drawn faces, a folder of images, or a prepared folder of records."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Optional, Tuple, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.data.image_files import UnreadableImage, list_images, read_image, square_resize
from rethink_fr.data.image_source import DEFAULT_CACHE_BYTES, ImageSource, MemorySource, SubsetSource
from rethink_fr.data.records import RecordSource, list_shards

__all__ = [
    "DrawnSource",
    "FolderSource",
    "ImageSource",
    "MemorySource",
    "RecordSource",
    "SubsetSource",
    "holdout_size",
    "open_source",
    "split_holdout",
]


class DrawnSource(ImageSource):
    """The built-in faces, drawn on demand: `pictures` of each of `identities` people, one person after the other.

    Two sources whose ranges of identities do not meet have no person in common.
    """

    def __init__(
        self,
        first_identity: int,
        identities: int,
        pictures: int,
        resolution: int,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        if first_identity < 0 or identities < 1 or pictures < 1:
            raise ValueError(
                "DrawnSource: expected first_identity >= 0 and at least one identity and picture, "
                f"got {first_identity}, {identities} and {pictures}"
            )
        super().__init__(identities * pictures, resolution, cache_bytes)
        self._first_identity = first_identity
        self._pictures = pictures

    def _load(self, slot: int) -> np.ndarray:
        from rethink_fr.data.drawn_faces import draw_face

        identity, picture = divmod(slot, self._pictures)
        return draw_face(self._first_identity + identity, picture, self.resolution).image


class FolderSource(ImageSource):
    """The images below a folder, in the order of their relative paths, squared and resized by Lanczos.

    Every file is decoded once when the source is opened: a damaged one is left out and listed in `unreadable`, not met
    in the middle of a training run. The decoded images are kept if they fit in `cache_bytes`. A set that does not fit
    is decoded again at each reading; `rethink-fr prepare` makes both cheaper.

    Raises:
        ValueError: naming the folder, if it holds no image that can be read.
    """

    def __init__(
        self,
        path: Union[str, Path],
        resolution: int,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        progress: bool = True,
    ) -> None:
        self._files = list_images(path)
        super().__init__(len(self._files), resolution, cache_bytes)
        if not self._files:
            raise ValueError(f"{path}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth")
        with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
            reasons = list(
                tqdm(
                    pool.map(self._try, range(len(self._files))),
                    total=len(self._files),
                    desc=f"reading {Path(path).name}",
                    unit="image",
                    delay=2,  # a bar only for what takes longer than two seconds
                    disable=not progress,
                )
            )
        self.unreadable = [(str(self._files[slot]), reason) for slot, reason in enumerate(reasons) if reason]
        self._slots = [slot for slot, reason in enumerate(reasons) if not reason]
        if not self._slots:
            name, reason = self.unreadable[0]
            raise ValueError(
                f"{path}: none of its {len(self._files)} image files can be read; the first is {name} ({reason})"
            )

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def names(self) -> List[str]:
        """The files behind images 0, 1, 2, ..."""
        return [str(self._files[slot]) for slot in self._slots]

    def _slot(self, index: int) -> int:
        return self._slots[index]

    def _load(self, slot: int) -> np.ndarray:
        return square_resize(read_image(self._files[slot]), self.resolution)

    def _try(self, slot: int) -> Optional[str]:
        try:
            if self._pixels is None:
                read_image(self._files[slot])
            else:
                self._keep(slot, self._load(slot))
        except UnreadableImage as error:
            return error.reason
        return None


def open_source(
    where: Union[str, Path],
    resolution: int,
    *,
    first_identity: int = 0,
    identities: int = 500,
    pictures: int = 6,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> ImageSource:
    """The source that `where` names: `builtin`, a folder holding `*.tfrecord`, or a folder of images.

    `first_identity`, `identities` and `pictures` choose the built-in faces and mean nothing otherwise.

    Raises:
        ValueError: if `where` is none of these, or holds nothing usable.
    """
    if str(where) == "builtin":
        return DrawnSource(first_identity, identities, pictures, resolution, cache_bytes)
    folder = Path(where)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise ValueError(
            f"{where}: {what}; expected 'builtin', a folder of images, or a folder made by `rethink-fr prepare`"
        )
    if list_shards(folder):
        return RecordSource(folder, resolution, cache_bytes)
    return FolderSource(folder, resolution, cache_bytes)


def holdout_size(total: int, wanted: int) -> int:
    """How many of `total` images are held out: `wanted`, or a quarter of a set that is too small for that.

    Configurations are made for thousands of pictures; a first run on a hundred should work, too.
    """
    return wanted if wanted < total else total // 4


def split_holdout(source: ImageSource, count: int) -> Tuple[ImageSource, ImageSource]:
    """`(train, validation)`: the last `count` images are held out.

    The last, not some spread over the whole: files of one person usually stand side by side, and a person seen in
    training would flatter the validation.

    Raises:
        ValueError: unless at least one image is left on each side.
    """
    if not 1 <= count < len(source):
        raise ValueError(
            f"cannot hold out {count} of {len(source)} images: expected 1 to {len(source) - 1}; "
            "lower data.validation_images or name a separate validation folder"
        )
    indices = np.arange(len(source))
    return SubsetSource(source, indices[:-count]), SubsetSource(source, indices[-count:])
