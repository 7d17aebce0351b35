"""Opening a source of clean images: drawn faces, a folder of images, or a prepared folder; and holding some out."""

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
    "evenly",
    "holdout_size",
    "open_source",
    "split_holdout",
]


class DrawnSource(ImageSource):
    """The built-in faces, which are drawn when they are read: so many pictures of each person, person after person.

    Two sources have no person in common if their ranges of identities do not overlap.

    Args:
        first_identity: number of the first person.
        identities: number of people.
        pictures: number of pictures of each person.
        resolution, cache_bytes: see `ImageSource`.

    Raises:
        ValueError: if a number is too small.
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

    Args:
        where: as in the settings `data.train` and `data.validation`.
        resolution: of the images, in pixels.
        first_identity, identities, pictures: see `DrawnSource`; they have no effect on other sources.
        cache_bytes: see `ImageSource`.
        check: whether the shards of a prepared folder are compared with their SHA-256.
        listed: the pictures of a run that is continued; see `FolderSource` and `RecordSource`.

    Raises:
        ValueError: if `where` is none of these, or there is nothing usable in it.
        RunFailure: if too many pictures are damaged or missing.
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
    """How many of `total` images are held out: `wanted`, or a quarter of them if there are not more than that.

    Configurations are made for thousands of pictures, but a first run on a hundred should work, too.
    """
    return wanted if wanted < total else total // 4


def split_holdout(source: ImageSource, count: int) -> Tuple[ImageSource, ImageSource]:
    """Hold out the last `count` images; returns `(train, validation)`.

    They are not spread over the whole source, because files of one person usually follow each other: people who are
    trained on would make the validation look better than it is.

    Raises:
        ValueError: unless there is at least one image in both.
    """
    if not 1 <= count < len(source):
        raise ValueError(
            f"cannot hold out {count} of {len(source)} images: expected 1 to {len(source) - 1}; "
            "lower data.validation_images or name a separate validation folder"
        )
    indices = np.arange(len(source))
    return SubsetSource(source, indices[:-count]), SubsetSource(source, indices[-count:])


def evenly(source: ImageSource, portion: float) -> ImageSource:
    """A portion of the images, at least one, that are spread evenly over the source: every tenth one for 0.1.

    So nearly everyone stays in it where a person's files follow each other.
    """
    count = max(1, round(len(source) * portion))
    if count >= len(source):
        return source
    return SubsetSource(source, np.arange(count) * len(source) // count)
