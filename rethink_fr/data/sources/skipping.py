"""Training goes on where a picture cannot be read, but not where too many cannot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Callable, Dict, Union

import numpy as np

from rethink_fr.data.sources.image_source import ImageSource
from rethink_fr.errors import RunFailure
from rethink_fr.files.names import printable
from rethink_fr.pictures.files import UnreadableImage


def allowed_unreadable(count: int) -> int:
    """How many of `count` pictures may be unreadable before a run stops: one in a hundred, and ten at least."""
    return max(10, count // 100)


def too_many(folder: Union[str, Path], unreadable: int, count: int, first: str, advice: str) -> RunFailure:
    """The error for more unreadable pictures than `allowed_unreadable`.

    Args:
        folder: that holds them.
        unreadable: of the `count` pictures.
        first: one of them and the reason.
        advice: what to do.
    """
    return RunFailure(
        f"{printable(folder)}: {unreadable} of the run's {count} pictures there cannot be read, for example "
        f"{printable(first)}; more than {min(allowed_unreadable(count), count - 1)} are too many: {advice}"
    )


class SkippingSource(ImageSource):
    """Another source, with each picture that cannot be read replaced by the next one that can.

    The replacement depends on nothing but which pictures are readable. What was skipped is added to `unreadable`.

    Args:
        source: the pictures.
        folder: where they lie, for the error.
        advice: what to do if too many are unreadable, for the error.

    Attributes:
        on_skip: called with name and reason of each picture when it is skipped first; from any thread.
    """

    def __init__(self, source: ImageSource, folder: Union[str, Path], advice: str) -> None:
        super().__init__(len(source), source.resolution, cache_bytes=0)
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
        with self._lock:  # one thread at a time tells; the others wait and do not tell the same again
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
