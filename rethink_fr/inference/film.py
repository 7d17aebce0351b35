"""Restores a clip: its faces followed from frame to frame, restored alike in all of them, and put back.

The clip is read twice. First its faces are found and followed to its end, so that their places can be smoothed without
lag; then they are restored, with one draw of noise for each person's track, and its frames are written in segments of
two seconds or so. What is finished, searches and segments, stays in a hidden folder beside the output until the clip is
whole; a later call goes on from there. In memory there are never more frames than are restored together.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from rethink_fr.faces.face import Detector, Face
from rethink_fr.faces.search import find_faces
from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json
from rethink_fr.files.writing import write_json
from rethink_fr.film.clips import LONGEST_SIDE, Clip, UnreadableClip, read_clip, read_frames
from rethink_fr.film.segments import frames_in, write_segment
from rethink_fr.film.smoothing import smooth_points
from rethink_fr.film.tracks import Track, Tracks
from rethink_fr.inference.faces import BATCH, AlignedFace, Noise, align, as_grey, restore_faces, with_colours_of
from rethink_fr.inference.photo import LARGER, Enlarge
from rethink_fr.inference.photo_report import ClipReport, PhotoSettings, TrackReport, file_stamp
from rethink_fr.pictures.geometry import ffhq_points, from_enlarged, scale_of, similarity
from rethink_fr.pictures.pasting import paste, patch
from rethink_fr.pictures.photos import is_grey

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

_SEARCHES = 5.0  # a second
_SEGMENT = 60  # frames
_HELD = 1 << 24  # pixels of frames that wait until their faces fill a batch
_FADE = 4  # frames in which a track that begins or ends within a shot comes and goes
_FORMAT = 1  # of what is kept in the hidden folder

Squares = npt.NDArray[np.uint8]


class _Shown(NamedTuple):
    """A track, ready to be restored."""

    track: Track
    points: npt.NDArray[np.float64]  # [frames, 5, 2]
    noise: Noise
    fade: npt.NDArray[np.float64]  # [frames]: how much of it is shown


class ClipWork:
    """A clip that is being restored, and what of it is kept in the folder `parts`."""

    def __init__(self, path: Path, parts: Path, settings: PhotoSettings, restorer: LoadedRestorer) -> None:
        self.settings, self._restorer, self._parts = settings, restorer, parts
        self.clip = read_clip(path)
        width, height = (side * settings.upscale for side in self.clip.size)
        self.size = (width, height)
        _check_size(self.size)
        self._stamp = file_stamp(path)
        self._continue()
        self.times: List[int] = []
        self.keeps_grey = False
        self.shown: List[_Shown] = []
        self.reports: Tuple[TrackReport, ...] = ()
        self._damaged = 0  # packets and frames

    def search(self, detector: Detector) -> None:
        """Find the faces, and follow them to the end of the clip."""
        clip, settings = self.clip, self.settings
        tracks = Tracks(clip.size, every=max(1, round(float(clip.rate) / _SEARCHES)))
        kept = _Searches(self._parts / "faces.jsonl")
        grey = settings.keep_grey
        last = None
        for frame in _with_progress(read_frames(clip), clip, "searching"):
            self.times.append(frame.time)
            last = frame.image
            if tracks.add(frame.image):
                grey = grey and is_grey(frame.image)
                tracks.found(kept.faces(tracks.frames - 1, frame.image, detector, settings))
        if last is None:
            raise UnreadableClip("has no frame that can be read; it may be damaged")
        tracks.found(kept.faces(tracks.frames - 1, last, detector, settings))
        self.keeps_grey, self._damaged = grey, clip.damaged
        seconds = [float(time * clip.unit) for time in self.times]
        found = [(track, tracks.in_frames(smooth_points(track, seconds))) for track in tracks.tracks()]
        if settings.only_center_face:
            found = _central(found, clip.size)
        for number, (track, points) in enumerate(found):
            noise = self._noise(number)
            self.shown.append(_Shown(track, points, noise, _fade(track, tracks.cuts, len(self.times))))
        self.reports = tuple(
            _track_report(number, one, seconds, self._restorer.resolution) for number, one in enumerate(self.shown, 1)
        )

    def restore(self, suffix: str, enlarge: Enlarge) -> List[Path]:
        """Restore all frames, and return the segments that hold them. Those that an earlier call finished stay."""
        count = len(self.times)
        starts = range(0, count, _SEGMENT)
        segments = [self._parts / f"{number:06d}.mkv" for number in range(len(starts))]
        left = [
            number
            for number, (segment, start) in enumerate(zip(segments, starts))
            if frames_in(segment) != min(_SEGMENT, count - start)
        ]
        if not left:
            return segments
        frames = enumerate(_with_progress(read_frames(self.clip), self.clip, "restoring"))
        for number in left:
            wanted = range(starts[number], min(starts[number] + _SEGMENT, count))
            part = _part(frames, wanted, self.times)
            made = write_segment(segments[number], self._restored(part, enlarge), self.clip, self.size, suffix)
            if made != len(wanted):
                raise UnreadableClip("changed while it was read; run again")
        return segments

    def report(self) -> ClipReport:
        """What is to be said of the clip."""
        clip = self.clip
        end = self.times[-1] - self.times[0] + 1 / (clip.rate * clip.unit)
        return ClipReport(
            frames=len(self.times),
            seconds=round(float(end * clip.unit), 3),
            damaged=self._damaged,
            has_sound=clip.has_sound,
            tracks=self.reports,
        )

    def notes(self) -> List[str]:
        """What people should know of how this clip was restored."""
        notes = list(self.clip.notes)
        if self._damaged:
            notes.append(f"{self._damaged} frames or packets of it are damaged; what could not be read is left out")
        if len(self.times) < 0.95 * self.clip.frames - 1:
            notes.append(f"its header tells of {self.clip.frames} frames, {len(self.times)} could be read")
        if self.size[0] % 2 or self.size[1] % 2:
            notes.append("has an odd width or height: it was written with colours in full resolution (4:4:4)")
        larger = [str(number) for number, one in enumerate(self.reports, 1) if one.larger_than_model]
        if larger:
            side = self._restorer.resolution
            notes.append(
                f"larger than the model's {side} px, so that fine detail may be lost: track {', '.join(larger)}"
            )
        return notes

    def _continue(self) -> None:
        """Begin anew, unless what is kept is of this clip, these settings and this model."""
        import av

        state = {
            "format": _FORMAT,
            "av": av.__version__,
            "stamp": self._stamp and list(self._stamp),
            "settings": asdict(self.settings),
            "answer": _answer(self._restorer),
        }
        path = self._parts / "state.json"
        with suppress(UnreadableFile):
            if not self._parts.is_symlink() and read_json(path, "what is kept of a clip") == state:
                return
        _remove(self._parts)
        write_json(path, state)

    def _noise(self, number: int) -> Noise:
        """One draw for each track."""
        if self._restorer.noise_shape is None:
            return None
        digest = hashlib.sha256(f"{self.settings.seed} {number}".encode()).digest()
        drawn: npt.NDArray[np.float32] = self._restorer.draw_noise(int.from_bytes(digest[:4], "big") >> 1, 1).numpy()
        return drawn

    def _restored(self, frames: Iterator[Tuple[int, Image.Image]], enlarge: Enlarge) -> Iterator[Image.Image]:
        """Frames with their faces restored, in order; as many at a time as fill a batch."""
        group: List[Tuple[int, Image.Image, List[Tuple[_Shown, AlignedFace]]]] = []
        for number, image in frames:
            group.append((number, image, self._aligned(number, image)))
            faces = sum(len(found) for _, _, found in group)
            if faces >= BATCH or len(group) * image.size[0] * image.size[1] >= _HELD:
                yield from self._finished(group, enlarge)
                group = []
        yield from self._finished(group, enlarge)

    def _aligned(self, number: int, image: Image.Image) -> List[Tuple[_Shown, AlignedFace]]:
        here = [one for one in self.shown if one.track.start <= number < one.track.end]
        faces = [_face(one, number) for one in here]
        return list(zip(here, align(image, faces, self._restorer.resolution)))

    def _finished(
        self, group: Sequence[Tuple[int, Image.Image, List[Tuple[_Shown, AlignedFace]]]], enlarge: Enlarge
    ) -> Iterator[Image.Image]:
        settings = self.settings
        work = [pair for _, _, found in group for pair in found]
        squares = [aligned.crop for _, aligned in work]
        draws = [one.noise for one, _ in work]
        made = iter(restore_faces(self._restorer, squares, draws, settings.noise_scale, settings.fidelity))
        for number, image, found in group:
            canvas = enlarge(image)
            patches = []
            for one, aligned in found:
                square = self._coloured(next(made), aligned.crop)[0]
                shown = one.fade[number - one.track.start]
                if shown < 1:
                    change = shown * (square.astype(np.float32) - aligned.crop)
                    square = np.rint(aligned.crop + change).astype(np.uint8)
                patches.append(
                    patch(square, aligned.crop, from_enlarged(aligned.matrix, settings.upscale), canvas.size)
                )
            paste(canvas, patches, settings.blend)
            yield canvas

    def _coloured(self, squares: Squares, cut: Squares) -> Squares:
        if self.settings.match_colours:
            squares = with_colours_of(squares, cut)
        return as_grey(squares) if self.keeps_grey else squares


class _Searches:
    """The faces of the frames that were searched, one frame a line of a file, so that none is searched twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: Dict[int, List[Face]] = {}
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError, TypeError, KeyError, RecursionError):  # the last line of a killed process
                    entry = json.loads(line)
                    faces = [
                        Face(tuple(one["box"]), np.array(one["points"], np.float64), one["score"])
                        for one in entry["faces"]
                    ]
                    self._kept[entry["frame"]] = faces

    def faces(self, number: int, image: Image.Image, detector: Detector, settings: PhotoSettings) -> List[Face]:
        """The faces in a frame."""
        if number not in self._kept:
            found = find_faces(image, detector, settings.min_face, settings.detection_threshold)
            self._kept[number] = found
            faces = [{"box": one.box, "points": one.points.tolist(), "score": one.score} for one in found]
            with open(self._path, "ab") as file:
                file.write(b"\n" * (file.tell() > 0) + json.dumps({"frame": number, "faces": faces}).encode())
        return self._kept[number]


@contextmanager
def clip_in_work(
    path: Path, output: Path, settings: PhotoSettings, restorer: LoadedRestorer, continues: bool
) -> Iterator[ClipWork]:
    """Open a clip to be restored; what is kept of it is removed if the block ends without an exception.

    Args:
        path: of the clip.
        output: what it becomes; what is kept lies beside it.
        settings: how it is restored.
        restorer: see `load_restorer`.
        continues: whether what an earlier call kept may be used.

    Raises:
        UnreadableClip: if it cannot be read.
    """
    digest = hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
    parts = output.parent / f".rfr-clip-{digest}"
    if not continues:
        _remove(parts)
    try:
        yield ClipWork(path, parts, settings, restorer)
    except UnreadableClip:
        _remove(parts)
        raise
    _remove(parts)


def _check_size(size: Tuple[int, int]) -> None:
    if max(size) > LONGEST_SIDE or size[0] * size[1] > 2 * max_pixels():
        raise UnreadableClip(
            f"would have {size[0]} x {size[1]} pixels, expected at most {2 * max_pixels():,} in all and "
            f"{LONGEST_SIDE:,} a side; choose a smaller --upscale"
        )


def _remove(parts: Path) -> None:
    if parts.is_symlink():
        parts.unlink()
    shutil.rmtree(parts, ignore_errors=True)


def _with_progress(frames: Iterator[Any], clip: Clip, what: str) -> Iterator[Any]:
    name = printable(clip.path.name)
    return iter(tqdm(frames, desc=f"{what} {name}", unit="frame", total=clip.frames or None, delay=2, leave=False))


def _part(frames: Iterator[Tuple[int, Any]], wanted: range, times: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
    """The frames with these numbers."""
    for number, frame in frames:
        if number in wanted:
            if frame.time != times[number]:
                raise UnreadableClip("changed while it was read; run again")
            yield number, frame.image
        if number >= wanted.stop - 1:
            return


def _central(
    found: Sequence[Tuple[Track, npt.NDArray[np.float64]]], size: Tuple[int, int]
) -> List[Tuple[Track, npt.NDArray[np.float64]]]:
    """Of tracks of the same time the one that is nearest to the middle, on average."""
    middle = (np.array(size, np.float64) - 1) / 2
    order = sorted(found, key=lambda one: float(np.linalg.norm(one[1].mean(axis=1) - middle, axis=1).mean()))
    kept: List[Tuple[Track, npt.NDArray[np.float64]]] = []
    for track, points in order:
        if all(track.end <= other.start or other.end <= track.start for other, _ in kept):
            kept.append((track, points))
    return sorted(kept, key=lambda one: one[0].start)


def _fade(track: Track, cuts: Sequence[int], frames: int) -> npt.NDArray[np.float64]:
    """How much of a track is shown in each of its frames: it comes and goes softly, but not at a cut."""
    count = len(track.maps)
    shown = np.ones(count)
    rise = (np.arange(count) + 1) / (_FADE + 1)
    if track.start not in (0, *cuts):
        shown = np.minimum(shown, rise)
    if track.end not in (frames, *cuts):
        shown = np.minimum(shown, rise[::-1])
    return shown


def _face(one: _Shown, number: int) -> Face:
    points = one.points[number - one.track.start]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = (high - low).max() / 2  # a face is about twice as large as its points
    return Face((*(low - margin), *(high + margin)), points, one.track.score)


def _track_report(number: int, one: _Shown, seconds: Sequence[float], side: int) -> TrackReport:
    track = one.track
    scales = [scale_of(similarity(points, ffhq_points(side))) for points in one.points]
    first = _face(one, track.start)
    return TrackReport(
        number=number,
        first_frame=track.start,
        last_frame=track.end - 1,
        start=round(seconds[track.start], 3),
        end=round(seconds[track.end - 1], 3),
        searches=len(track.seen),
        score=round(track.score, 4),
        box=tuple(round(float(value), 1) for value in first.box),  # type: ignore[arg-type]  # four, as they were
        size=round(float(np.median([_face(one, frame).size for frame in range(track.start, track.end)])), 1),
        model_pixels=round(float(np.median(scales)), 3),
        larger_than_model=bool(np.median(scales) < LARGER),
    )


def _answer(restorer: LoadedRestorer) -> List[int]:
    """What a restorer makes of a fixed picture, roughly: a model that was trained further is another one."""
    side = restorer.resolution
    ramp = np.linspace(0, 255, side)
    square = np.stack([ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], 0 * ramp + 128 + 0 * ramp[:, None]], axis=2)
    noise = None if restorer.noise_shape is None else restorer.draw_noise(0, 1).numpy()
    made = restore_faces(restorer, [square.astype(np.uint8)], [noise])[0][0]
    return [int(value) for value in np.asarray(Image.fromarray(made).resize((8, 8), Image.Resampling.BOX)).ravel()]
