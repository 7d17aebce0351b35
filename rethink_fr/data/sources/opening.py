"""Where clean images come from: drawn faces, a folder of images, or a prepared folder of records."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple, Union

import numpy as np

from rethink_fr.data.sources.folder import FolderSource
from rethink_fr.data.sources.image_source import (
    DEFAULT_CACHE_BYTES,
    ImageSource,
    MemorySource,
    PictureList,
    SubsetSource,
)
from rethink_fr.data.sources.record_files import list_shards
from rethink_fr.data.sources.records import RecordSource
from rethink_fr.files.names import printable
from rethink_fr.files.reading import file_size, is_folder

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
        from rethink_fr.drawn_faces.face import draw_face

        identity, picture = divmod(slot, self._pictures)
        return draw_face(self._first_identity + identity, picture, self.resolution).image


def open_source(
    where: Union[str, Path],
    resolution: int,
    *,
    first_identity: int = 0,
    identities: int = 500,
    pictures: int = 6,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    check: bool = False,
    listed: Optional[PictureList] = None,
) -> ImageSource:
    """The source that `where` names: `builtin`, a folder holding `*.tfrecord`, or a folder of images.

    `first_identity`, `identities` and `pictures` choose the built-in faces and mean nothing otherwise.

    Args:
        check: whether the shards of a prepared folder are compared with their SHA-256.
        listed: the pictures that the run has which is continued; see `FolderSource` and `RecordSource`.

    Raises:
        ValueError: if `where` is none of these, or holds nothing usable.
        RunFailure: if too much of it is damaged or gone.
    """
    if str(where) == "builtin":
        return DrawnSource(first_identity, identities, pictures, resolution, cache_bytes)
    folder = Path(where)
    if not is_folder(folder):
        what = "is a file" if file_size(folder) is not None else "no such folder"
        raise ValueError(
            f"{printable(where)}: {what}; expected 'builtin', a folder of images, or a folder made by "
            "`rethink-fr prepare`"
        )
    if listed.kind == "shards" if listed is not None else list_shards(folder):
        return RecordSource(folder, resolution, cache_bytes, check, listed=listed)
    return FolderSource(folder, resolution, cache_bytes, listed=listed)


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
