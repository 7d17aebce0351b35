"""A sample of the pictures that a run would be trained on, spread evenly over them: are they readable?"""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple

import numpy as np

from rethink_fr.config.sections import DataConfig
from rethink_fr.data.sources.image_source import DEFAULT_CACHE_BYTES, ImageSource, SubsetSource
from rethink_fr.data.sources.opening import DrawnSource, holdout_size
from rethink_fr.data.sources.picture_files import PictureFiles, open_picture_files, require_pictures
from rethink_fr.data.sources.record_files import list_shards
from rethink_fr.data.sources.records import RecordSource
from rethink_fr.data.sources.several import SeveralSource
from rethink_fr.doctor.findings import Finding
from rethink_fr.files.addresses import address
from rethink_fr.files.names import listed_names, printable
from rethink_fr.files.reading import is_folder
from rethink_fr.pictures.files import UnreadableImage, decode_image, square_resize

_TRIED = 200  # pictures


class Sample(NamedTuple):
    """Some pictures of a setting such as `data.train`."""

    total: int  # number of pictures there
    source: ImageSource  # the sample


class _FileSample(ImageSource):
    """Some of the pictures of a folder; unlike `FolderSource` it does not decode all the others first."""

    def __init__(self, files: PictureFiles, places: np.ndarray, resolution: int, cache_bytes: int) -> None:
        super().__init__(len(places), resolution, cache_bytes)
        self._files = files
        self._places = places
        self.small = 0  # number of pictures that were read and are smaller than `resolution`

    def _load(self, slot: int) -> np.ndarray:
        name = self._files.names[self._places[slot]]
        image = decode_image(self._files.read(name)[0], address(self._files.folder / name))
        self.small += min(image.shape[:2]) < self.resolution
        return square_resize(image, self.resolution)


def open_sample(where: str, resolution: int, data: DataConfig, count: int) -> Sample:
    """Open `count` pictures of `where`, or all if there are not more.

    They are kept in memory once they were read if a run would keep all of them.

    Raises:
        ValueError: if there are none, or they cannot be used at this resolution.
    """
    if where == "builtin":
        drawn = DrawnSource(0, data.builtin_identities, data.builtin_pictures, resolution)
        return Sample(len(drawn), SubsetSource(drawn, _spread(len(drawn), count)))
    if where == "several":
        samples = [open_sample(one.path, resolution, data, count) for one in data.folders]
        return Sample(sum(one.total for one in samples), SeveralSource([one.source for one in samples]))
    folder = Path(where)
    if not is_folder(folder):
        raise ValueError(f"{printable(where)}: no such folder")
    if list_shards(folder):
        records = RecordSource(folder, resolution)
        return Sample(len(records), SubsetSource(records, _spread(len(records), count)))
    files = require_pictures(open_picture_files(folder))
    total = len(files.names)
    kept = total * resolution * resolution * 3 <= DEFAULT_CACHE_BYTES
    places = _spread(total, count)
    return Sample(total, _FileSample(files, places, resolution, DEFAULT_CACHE_BYTES if kept else 0))


def check_pictures(key: str, data: DataConfig, resolution: int) -> Finding:
    """Decode a sample of the pictures of a setting, `data.train` or `data.validation`.

    Raises:
        ValueError, OSError: if there are none.
    """
    where = getattr(data, key.rpartition(".")[2])
    if where == "holdout" and data.folders:
        lists = [printable(one.held_out) for one in data.folders if one.held_out]
        return Finding(key, "ok", f"what {', '.join(lists)} hold{'s' if len(lists) == 1 else ''} out")
    if where == "holdout":
        total = open_sample(data.train, resolution, data, 1).total
        return Finding(key, "ok", f"{holdout_size(total, data.validation_images)} of {total:,} are held out")
    if where == "builtin":
        drawn = data.builtin_identities * data.builtin_pictures if key == "data.train" else data.validation_images
        return Finding(key, "ok", f"{drawn:,} built-in faces", numbers={"pictures": drawn})
    total, source = open_sample(where, resolution, data, _TRIED)
    bad: List[str] = []
    for place in range(len(source)):
        try:
            source.read(place)
        except UnreadableImage as error:
            bad.append(f"{error.name} ({error.reason})")
    numbers = {"pictures": total, "tried": len(source), "unreadable": bad}
    found = f"{printable(where)}: {total:,} pictures; {len(source) - len(bad)} of {len(source)} tried can be read"
    if len(bad) == len(source):
        return Finding(key, "fails", f"{found}; not {listed_names(bad)}", "replace them", numbers)
    if bad:
        return Finding(key, "warning", f"{found}; not {listed_names(bad)}", "they are skipped; replace them", numbers)
    small = getattr(source, "small", 0)
    if small:
        advice = "they are enlarged, and teach to restore blurred faces: leave them out, or lower model.resolution"
        return Finding(key, "warning", f"{found}; {small} are smaller than {resolution} px", advice, numbers)
    return Finding(key, "ok", found, numbers=numbers)


def _spread(total: int, count: int) -> np.ndarray:
    count = min(total, count)
    return np.arange(count) * total // max(1, count)
