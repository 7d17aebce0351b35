"""Faces over the frames of a clip: each person's face is one track as long as it is seen.

A detector looks at every few frames. From one of these to the next each face is followed by its pixels (`following`);
where it arrives, it is the same face as one that the detector finds there. So a track knows the motion of its face from
frame to frame exactly, and the places of the five points, roughly, in those frames that were searched.

    tracks = Tracks((640, 360))
    for frame in frames:
        if tracks.add(frame.image) or frame is the last:
            tracks.found(find_faces(frame.image, detector))
    tracks.tracks()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

from rethink_fr.faces.face import Face
from rethink_fr.film.following import follow
from rethink_fr.pictures.geometry import Matrix, composed, inverse, mapped, similarity

_COPY = 1024  # px: the longer side of the grey copies in which faces are followed
_THUMBNAIL = (32, 18)
_CUT = 28.0  # levels: mean change of the thumbnail, once brightness is matched, that makes two frames two shots
_NEAR = 0.3  # of a face's size: mean distance of the points at which two are one face
_STAYED = 0.5  # the same for a face that could not be followed, but is found again where it was
_PATIENCE = 3  # searches that may miss a face that is still followed

Points = NDArray[np.float64]  # [5, 2]
_IDENTITY: Matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass
class Track:
    """One face over a time. Its own frame of reference is the picture in which it was found first."""

    start: int  # number of its first frame
    maps: List[Matrix] = field(default_factory=list)  # from its reference to each of its frames
    # By the numbers of frames that were searched: the five points there, brought to the reference, and the score.
    seen: Dict[int, Tuple[Points, float]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The number of the frame after its last."""
        return self.start + len(self.maps)

    @property
    def score(self) -> float:
        """How sure the detector was, at best."""
        return max(score for _, score in self.seen.values())


class _Way(NamedTuple):
    """The way of a face from one search to the next: maps from the first frame to each further one."""

    maps: List[Matrix]
    arrived: bool


class Tracks:
    """Links the faces that are found in some frames of a clip. See the module's docstring for how it is used.

    Args:
        size: width and height of the frames.
        every: frames from one search to the next.
    """

    def __init__(self, size: Tuple[int, int], every: int = 5) -> None:
        self.every = every
        self._scale = min(1.0, _COPY / max(size))
        self._size = (max(8, round(size[0] * self._scale)), max(8, round(size[1] * self._scale)))
        self._copies: List[Image.Image] = []  # since the last search
        self._thumbnails: List[NDArray[np.float32]] = []
        self._first = 0  # number of the frame of `_copies[0]`
        self._searched: List[int] = []
        self.cuts: List[int] = []  # numbers of the first frames of new shots
        self._open: List[Track] = []
        self._closed: List[Track] = []

    @property
    def frames(self) -> int:
        """How many were added."""
        return self._first + len(self._copies)

    def add(self, image: Image.Image) -> bool:
        """Add the next frame; whether it is to be searched, and `found` to be called."""
        self._copies.append(image.resize(self._size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L"))
        thumbnail = np.asarray(self._copies[-1].resize(_THUMBNAIL, Image.Resampling.BOX), np.float32)
        if self._thumbnails and _is_cut(self._thumbnails[-1], thumbnail):
            self.cuts.append(self.frames - 1)
        self._thumbnails = [thumbnail]
        return (self.frames - 1) % self.every == 0

    def found(self, faces: Sequence[Face]) -> None:
        """Say which faces are in the frame that was added last."""
        last = self.frames - 1
        if self._searched and self._searched[-1] == last:
            return
        cuts = [cut for cut in self.cuts if cut > self._first]
        points = [(np.asarray(face.points) + 0.5) * self._scale - 0.5 for face in faces]
        ways = [self._forward(track, cuts) for track in self._open]
        free = self._matched(ways, points, faces, bool(cuts))
        for track, way in zip(list(self._open), ways):
            if last not in track.seen:
                track.maps += [composed(map_, track.maps[-1]) for map_ in way.maps]
                missed = sum(1 for number in self._searched if number > max(track.seen)) + 1
                if not way.arrived or missed > _PATIENCE:
                    self._close(track)
        for number in free:
            self._open.append(self._backward(points[number], faces[number].score, cuts))
        self._searched.append(last)
        self._first, self._copies = last, self._copies[-1:]

    def tracks(self) -> List[Track]:
        """All tracks, in the order of their first frames, once the last frame was searched. A face that was seen only
        once in a shot that was searched more than twice is taken for a mistake."""
        for track in list(self._open):
            self._close(track)
        edges = [0, *self.cuts, self.frames]
        kept = []
        for track in self._closed:
            shot = next((a, b) for a, b in zip(edges, edges[1:]) if a <= max(track.seen) < b)
            searches = sum(1 for number in self._searched if shot[0] <= number < shot[1])
            if len(track.seen) > 1 or searches <= 2:
                kept.append(track)
        return sorted(kept, key=lambda track: (track.start, min(track.seen)))

    def in_frames(self, points: Points) -> Points:
        """Points of the copies as points of the frames."""
        return (points + 0.5) / self._scale - 0.5

    def _forward(self, track: Track, cuts: Sequence[int]) -> _Way:
        points = mapped(track.maps[-1], _latest(track))
        maps: List[Matrix] = []
        total = _IDENTITY
        for number in range(1, len(self._copies)):
            if self._first + number in cuts:
                return _Way(maps, False)
            step = follow(self._copies[number - 1], self._copies[number], mapped(total, points))
            if not step.found:
                return _Way(maps, False)
            total = composed(step.motion, total)
            maps.append(total)
        return _Way(maps, True)

    def _backward(self, points: Points, score: float, cuts: Sequence[int]) -> Track:
        """A new track that begins before the frame in which its face was found first."""
        last = self.frames - 1
        maps, total = [_IDENTITY], _IDENTITY
        earliest = max([self._first + (1 if self._searched else 0), *cuts])
        for number in range(last - 1, earliest - 1, -1):
            near = number - self._first
            step = follow(self._copies[near + 1], self._copies[near], mapped(total, points))
            if not step.found:
                break
            total = composed(step.motion, total)
            maps.append(total)
        return Track(last - len(maps) + 1, maps[::-1], {last: (points, score)})

    def _matched(self, ways: List[_Way], points: List[Points], faces: Sequence[Face], cut: bool) -> List[int]:
        """Give each open track the face that is its own, and return the numbers of those that are none's."""
        free = set(range(len(points)))
        if not self._open or not points:
            return sorted(free)
        cost = np.full([len(self._open), len(points)], 1e3)
        for row, (track, way) in enumerate(zip(self._open, ways)):
            there = mapped(track.maps[-1], _latest(track))
            if way.arrived:
                there = mapped(way.maps[-1], there) if way.maps else there
            elif cut:
                continue
            for column, found in enumerate(points):
                distance = _distance(there, found)
                if distance < (_NEAR if way.arrived else _STAYED):
                    cost[row, column] = distance
        last = self.frames - 1
        for row, column in zip(*linear_sum_assignment(cost)):
            if cost[row, column] >= 1e3:
                continue
            track, way = self._open[row], ways[row]
            base = track.maps[-1]
            if way.arrived:
                track.maps += [composed(map_, base) for map_ in way.maps]
            else:
                track.maps += _bridged(base, similarity(_latest(track), points[column]), len(self._copies) - 1)
            track.seen[last] = (mapped(inverse(track.maps[-1]), points[column]), faces[column].score)
            free.discard(int(column))
        return sorted(free)

    def _close(self, track: Track) -> None:
        """End a track; where it was only followed after the last search that saw it, one stretch of that stays."""
        del track.maps[max(track.seen) + self.every - track.start :]
        self._open.remove(track)
        self._closed.append(track)


def _latest(track: Track) -> Points:
    return track.seen[max(track.seen)][0]


def _distance(one: Points, other: Points) -> float:
    """Mean distance of the points of two faces, in parts of the larger face's size."""
    size = max(float(np.ptp(points, axis=0).max()) for points in (one, other)) * 2.0  # a face is twice its points
    return float(np.linalg.norm(one - other, axis=1).mean() / max(size, 1.0))


def _bridged(start: Matrix, end: Matrix, count: int) -> List[Matrix]:
    """Maps in even steps from one to another; the last is `end`."""
    return [start + (end - start) * (number + 1) / count for number in range(count)]


def _is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    change = (after - after.mean()) - (before - before.mean())
    return bool(np.abs(change).mean() > _CUT)
