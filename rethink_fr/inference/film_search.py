"""The faces of a whole clip: found, followed, their places smoothed. Nothing is restored yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from rethink_fr.faces.face import Detector, Face
from rethink_fr.files.names import printable
from rethink_fr.film.clips import Clip, UnreadableClip, read_frames
from rethink_fr.film.smoothing import smooth_points
from rethink_fr.film.tracks import Track, Tracks
from rethink_fr.inference.film_kept import Kept
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.pictures.photos import is_grey

_SEARCHES = 5.0  # a second
_FADE = 4  # frames in which a face that comes or goes within a shot is restored partly

_Found = Tuple[Track, npt.NDArray[np.float64]]


class FilmFace(NamedTuple):
    """One face of a clip, in all of its frames."""

    number: int  # counted from 0
    start: int  # number of the first frame
    points: npt.NDArray[np.float64]  # [frames, 5, 2], smoothed
    shown: npt.NDArray[np.float64]  # [frames]: how much it is restored, 0 to 1
    searches: int  # how often it was found
    score: float  # at best

    @property
    def end(self) -> int:
        """The number of the frame after the last."""
        return self.start + len(self.points)

    def at(self, frame: int) -> Face:
        """The face in a frame."""
        points = self.points[frame - self.start]
        low, high = points.min(axis=0), points.max(axis=0)
        margin = float((high - low).max()) / 2  # a face is about twice as large as its points
        box = (float(low[0]) - margin, float(low[1]) - margin, float(high[0]) + margin, float(high[1]) + margin)
        return Face(box, points, self.score)


@dataclass(frozen=True)
class Searched:
    """What was found in a clip."""

    times: Tuple[int, ...]  # of all frames, in the clip's unit
    faces: Tuple[FilmFace, ...]
    is_grey: bool
    damaged: int  # packets and frames that could not be read


def search_clip(clip: Clip, detector: Detector, settings: PhotoSettings, kept: Kept) -> Searched:
    """Find the faces of a clip, and follow them to its end.

    Raises:
        UnreadableClip: if it has no frames.
    """
    tracks = Tracks(clip.size, every=max(1, round(float(clip.rate) / _SEARCHES)))
    times: List[int] = []
    grey, last = True, None
    for frame in with_progress(read_frames(clip), clip, "searching"):
        times.append(frame.time)
        last = frame.image
        if tracks.add(last):
            grey = grey and is_grey(last)
            tracks.found(kept.faces(len(times) - 1, last, detector, settings))
    if last is None:
        raise UnreadableClip("has no frame that can be read; it may be damaged")
    tracks.found(kept.faces(len(times) - 1, last, detector, settings))
    seconds = [float(time * clip.unit) for time in times]
    found = [(track, tracks.in_frames(smooth_points(track, seconds))) for track in tracks.tracks()]
    if settings.only_center_face:
        found = _central(found, clip.size)
    edges = (0, *tracks.cuts, len(times))
    faces = [
        FilmFace(number, track.start, points, _shown(track, edges), len(track.seen), track.score)
        for number, (track, points) in enumerate(found)
    ]
    return Searched(tuple(times), tuple(faces), grey, clip.damaged)


def with_progress(frames: Iterator[Any], clip: Clip, what: str) -> Iterator[Any]:
    """The frames, with a bar that is gone at the end."""
    name = printable(clip.path.name)
    total = round(clip.seconds * clip.rate) or None
    return iter(tqdm(frames, desc=f"{what} {name}", unit="frame", total=total, delay=2, leave=False))


def _central(found: Sequence[_Found], size: Tuple[int, int]) -> List[_Found]:
    """Of tracks at the same time the one that is nearest to the middle, on average."""
    middle = (np.array(size, np.float64) - 1) / 2
    kept: List[_Found] = []
    for track, points in sorted(
        found, key=lambda one: float(np.linalg.norm(one[1].mean(axis=1) - middle, axis=1).mean())
    ):
        if all(track.end <= other.start or other.end <= track.start for other, _ in kept):
            kept.append((track, points))
    return sorted(kept, key=lambda one: one[0].start)


def _shown(track: Track, edges: Sequence[int]) -> npt.NDArray[np.float64]:
    """How much a face is restored in each of its frames: it comes and goes softly, except where shots begin and end."""
    count = len(track.maps)
    rise = (np.arange(count) + 1) / (_FADE + 1)
    shown = np.ones(count)
    if track.start not in edges:
        shown = np.minimum(shown, rise)
    if track.end not in edges:
        shown = np.minimum(shown, rise[::-1])
    return shown
