"""Several folders as one source: each with its share of the samples, and with its own pictures held out."""

from __future__ import annotations

import dataclasses
import math
from typing import List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from rethink_fr.data.sources.image_source import ImageSource, PictureList, SubsetSource
from rethink_fr.data.sources.opening import open_source
from rethink_fr.data.sources.records import RecordSource
from rethink_fr.files.names import listed_names, printable
from rethink_fr.files.reading import read_text
from rethink_fr.pictures.listing import without_ending

_MAX_LIST_BYTES = 256 << 20


class SeveralSource(ImageSource):
    """The images of several sources, one source after the other.

    With shares, an image may have several numbers: the source is so long that in one pass over it every image comes at
    least once, and each of the sources makes up its share. Those of one source come equally often, or once more.

    Args:
        sources: of one resolution.
        shares: of each source, 0 to 1, together 1; none or 0 for all if all images shall come equally often.

    Attributes:
        lists: those of the folders, by which a continued run finds the same images again.
    """

    def __init__(self, sources: Sequence[ImageSource], shares: Sequence[float] = ()) -> None:
        sizes = [len(source) for source in sources]
        counts = sizes
        if any(shares):
            total = max(math.ceil(size / share) for size, share in zip(sizes, shares))
            counts = [max(size, round(total * share)) for size, share in zip(sizes, shares)]
        super().__init__(sum(counts), sources[0].resolution, cache_bytes=0)  # the sources have their own
        self.unreadable = [one for source in sources for one in source.unreadable]
        self.changes = [change for source in sources for change in source.changes]
        self.lists: Tuple[PictureList, ...] = ()
        self._sources = list(sources)
        self._starts = np.cumsum([0, *counts])

    def _load(self, slot: int) -> np.ndarray:
        number = int(np.searchsorted(self._starts, slot, side="right")) - 1
        source = self._sources[number]
        return source.read((slot - int(self._starts[number])) % len(source))


class Parts(NamedTuple):
    """A folder, in two parts."""

    train: ImageSource
    held_out: ImageSource
    pictures: Optional[PictureList]  # by which a continued run finds both again; None if it was not checked
    notes: Tuple[str, ...]  # what should be said of it


def open_parts(
    path: str, resolution: int, held_out: str = "", check: bool = False, listed: Optional[PictureList] = None
) -> Parts:
    """Open a folder of which some pictures are held out.

    Args:
        path: a folder of images, or one made by `rethink-fr prepare`.
        resolution: of the images, in pixels.
        held_out: a text file with the names of the pictures that are held out, one a line, with or without ending; ""
            for none. Names are those of the files, relative to the folder that was prepared.
        check: see `open_source`.
        listed: the list of a run that is continued. It decides what is held out, not the file.

    Raises:
        ValueError: if none of the names is in the folder, or all of its pictures are held out; and as `open_source`.
    """
    source = open_source(path, resolution, check=check, listed=listed)
    notes: Tuple[str, ...] = ()
    if listed is not None:
        numbers = _numbers(listed)
    else:
        numbers, notes = _held_out(source, path, held_out) if held_out else ([], ())
    if len(numbers) == len(source):
        raise ValueError(f"{printable(path)}: all of its pictures are held out; leave the folder out of data.folders")
    held = set(numbers)
    train = np.array([number for number in range(len(source)) if number not in held], np.int64)
    pictures = listed or _with_held_out(source.pictures, numbers)
    parts = SubsetSource(source, train), SubsetSource(source, np.array(numbers, np.int64))
    return Parts(*parts, pictures, notes)


def _held_out(source: ImageSource, path: str, file: str) -> Tuple[List[int], Tuple[str, ...]]:
    """The numbers of the pictures that a file names, and what should be said of it."""
    wanted = {line.strip() for line in read_text(file, _MAX_LIST_BYTES).splitlines()} - {""}
    people: Sequence[Optional[str]] = ()
    if isinstance(source, RecordSource):
        columns = source.columns()
        names, people = [found.name for found in columns], [found.identity for found in columns]
    else:
        assert source.pictures is not None
        names = list(source.pictures.sha256)
    numbers, missing = [], set(wanted)
    for number, name in enumerate(names):
        found = {one for full in (name, printable(name)) for one in (full, without_ending(full))} & wanted
        missing -= found
        if found:
            numbers.append(number)
    if not numbers:
        raise ValueError(
            f"{printable(file)}: {printable(path)} holds none of the {len(wanted)} pictures that it names; expected a "
            "name a line, relative to the folder that was prepared"
        )
    notes = [f"{printable(path)}: {len(numbers):,} of its {len(names):,} pictures are held out by {printable(file)}"]
    if missing:
        notes.append(f"{printable(file)}: {len(missing):,} are not there: {listed_names(sorted(missing))}")
    both = _people(people, numbers)
    if both:
        notes.append(f"{printable(path)}: people who are trained on and held out: {listed_names(both)}")
    return numbers, tuple(notes)


def _people(people: Sequence[Optional[str]], held_out: Sequence[int]) -> List[str]:
    """Who is both on pictures that are held out and on others."""
    held = set(held_out)
    seen: Tuple[Set[str], Set[str]] = (set(), set())
    for number, person in enumerate(people):
        if person is not None:
            seen[number in held].add(person)
    return sorted(seen[0] & seen[1])


def _with_held_out(pictures: Optional[PictureList], numbers: List[int]) -> Optional[PictureList]:
    if pictures is None:
        return None
    if pictures.kind == "shards":
        return dataclasses.replace(pictures, held_out_records=tuple(numbers))
    held, names = set(numbers), list(pictures.sha256)
    order = [name for number, name in enumerate(names) if number not in held] + [names[number] for number in numbers]
    contents = {name: pictures.sha256[name] for name in order}
    return dataclasses.replace(pictures, sha256=contents, held_out=len(numbers))


def _numbers(listed: PictureList) -> List[int]:
    if listed.kind == "shards":
        return list(listed.held_out_records)
    return list(range(len(listed) - listed.held_out, len(listed)))
