"""Restores a clip: its faces followed from frame to frame, restored alike in all of them, and put back.

The clip is read twice. First its faces are found and followed to its end, so that their places can be smoothed without
lag; then they are restored, with one draw of noise for the whole track of each face, and its frames are written in
segments of two seconds or so. What is finished stays until the clip is whole, and a later call goes on from there
(`film_kept`). In memory there are never more frames than are restored together.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rethink_fr.faces.face import Detector
from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.outputs import OutputError
from rethink_fr.files.reading import file_stamp
from rethink_fr.files.writing import LongNameError
from rethink_fr.film.clips import LONGEST_SIDE, Clip, UnreadableClip, read_clip, read_frames
from rethink_fr.film.segments import assemble, frames_in, write_segment
from rethink_fr.inference.faces import BATCH, AlignedFace, Noise, align, as_grey, restore_faces, with_colours_of
from rethink_fr.inference.film_kept import kept_work
from rethink_fr.inference.film_search import FilmFace, Searched, search_clip, with_progress
from rethink_fr.inference.photo import LARGER, Enlarge
from rethink_fr.inference.photo_plan import PhotoPlan, PlannedPhoto, copied_name, output_names
from rethink_fr.inference.photo_report import ClipReport, PhotoReport, PhotoSettings, TrackReport
from rethink_fr.pictures.geometry import ffhq_points, from_enlarged, scale_of, similarity
from rethink_fr.pictures.pasting import paste, patch

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

_SEGMENT = 60  # frames
_HELD = 1 << 24  # pixels of frames that wait until their faces fill a batch


def restore_clip(
    planned: PlannedPhoto, plan: PhotoPlan, restorer: LoadedRestorer, detector: Detector, enlarge: Enlarge
) -> PhotoReport:
    """Restore a clip of a plan, write what it becomes, and report it. Arguments are those of `restore_photos`."""
    path = os.fspath(planned.path)
    if planned.error is not None:
        return PhotoReport(path, error=planned.error)
    settings, stamp = plan.settings, file_stamp(planned.path) or (0, 0)
    (name,) = output_names(planned, settings, 0)
    try:
        clip = read_clip(planned.path)
        _check_size(clip, settings.upscale)
        with kept_work(planned.path, plan.output / name, settings, restorer, plan.progress.continues) as kept:
            found = search_clip(clip, detector, settings, kept)
            copy = None if found.faces else copied_name(planned, settings)
            target = plan.output / (copy or name)
            plan.outputs.claim_all([target], of=planned.path)
            plan.progress.begin(planned.path, [copy or name])
            notes = _notes(clip, found, restorer.resolution, settings.upscale)
            if copy is not None:
                with open(planned.path, "rb") as source, plan.outputs.opened(target) as file:
                    shutil.copyfileobj(source, file)
            else:
                film = _Film(clip, found, settings, restorer, enlarge)
                segments = [kept.segment(number) for number in range(-(-len(found.times) // _SEGMENT))]
                film.write(segments, planned.extension)
                with plan.outputs.opened(target) as file:
                    notes += assemble(file, planned.extension, segments, clip, found.times)
    except (UnreadableClip, OutputError, LongNameError) as error:
        return PhotoReport(path, error=error.reason)
    except MemoryError:
        return PhotoReport(path, error="takes more memory than there is; scale it down, or choose a smaller --upscale")
    report = _clip_report(clip, found, restorer.resolution)
    return PhotoReport(
        path,
        outputs=(copy or name,),
        size=clip.size,
        clip=report,
        copied=copy is not None,
        notes=tuple(dict.fromkeys(notes)),
        bytes=stamp[0],
        modified=stamp[1],
    )


class _Frame(NamedTuple):
    """A frame that is being restored."""

    number: int
    image: Image.Image
    faces: List[Tuple[FilmFace, AlignedFace]]


class _Film:
    """A clip whose faces are known."""

    def __init__(
        self, clip: Clip, found: Searched, settings: PhotoSettings, restorer: LoadedRestorer, enlarge: Enlarge
    ) -> None:
        self._clip, self._found, self._settings = clip, found, settings
        self._restorer, self._enlarge = restorer, enlarge
        self._noise = [_noise(restorer, settings.seed, face.number) for face in found.faces]

    def write(self, segments: Sequence[Any], suffix: str) -> None:
        """Restore the frames and write them to these files, of which those that are finished stay."""
        count = len(self._found.times)
        spans = [range(start, min(start + _SEGMENT, count)) for start in range(0, count, _SEGMENT)]
        left = [(path, span) for path, span in zip(segments, spans) if frames_in(path) != len(span)]
        if not left:
            return
        upscale = self._settings.upscale
        size = (self._clip.size[0] * upscale, self._clip.size[1] * upscale)
        frames = enumerate(with_progress(read_frames(self._clip), self._clip, "restoring"))
        for path, span in left:
            made = write_segment(path, self._restored(self._part(frames, span)), self._clip, size, suffix)
            if made != len(span):
                raise UnreadableClip("changed while it was read; run again")

    def _part(self, frames: Iterator[Tuple[int, Any]], wanted: range) -> Iterator[_Frame]:
        """The frames with these numbers, their faces cut out."""
        for number, frame in frames:
            if number in wanted:
                if frame.time != self._found.times[number]:
                    raise UnreadableClip("changed while it was read; run again")
                here = [face for face in self._found.faces if face.start <= number < face.end]
                aligned = align(frame.image, [face.at(number) for face in here], self._restorer.resolution)
                yield _Frame(number, frame.image, list(zip(here, aligned)))
            if number >= wanted.stop - 1:
                return

    def _restored(self, frames: Iterator[_Frame]) -> Iterator[Image.Image]:
        """The frames, restored; as many at a time as fill a batch."""
        group: List[_Frame] = []
        for frame in frames:
            group.append(frame)
            faces = sum(len(one.faces) for one in group)
            if faces >= BATCH or len(group) * frame.image.size[0] * frame.image.size[1] >= _HELD:
                yield from self._finished(group)
                group = []
        yield from self._finished(group)

    def _finished(self, group: Sequence[_Frame]) -> Iterator[Image.Image]:
        settings = self._settings
        work = [pair for frame in group for pair in frame.faces]
        squares, draws = [aligned.crop for _, aligned in work], [self._noise[face.number] for face, _ in work]
        made = iter(restore_faces(self._restorer, squares, draws, settings.noise_scale, settings.fidelity))
        for frame in group:
            canvas = self._enlarge(frame.image)
            patches = []
            for face, aligned in frame.faces:
                square = self._shown(next(made), aligned.crop, face.shown[frame.number - face.start])
                matrix = from_enlarged(aligned.matrix, settings.upscale)
                patches.append(patch(square, aligned.crop, matrix, canvas.size))
            paste(canvas, patches, settings.blend)
            yield canvas

    def _shown(self, made: npt.NDArray[np.uint8], cut: npt.NDArray[np.uint8], share: float) -> npt.NDArray[np.uint8]:
        """A restored square `[1, R, R, 3]` as it is pasted, `[R, R, 3]`."""
        if self._settings.match_colours:
            made = with_colours_of(made, cut)
        if self._settings.keep_grey and self._found.is_grey:
            made = as_grey(made)
        mixed = cut + share * (made[0].astype(np.float32) - cut)
        return np.asarray(np.rint(mixed), np.uint8)


def _noise(restorer: LoadedRestorer, seed: int, number: int) -> Noise:
    """The one draw of noise of a face of a clip."""
    if restorer.noise_shape is None:
        return None
    digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
    drawn: npt.NDArray[np.float32] = restorer.draw_noise(int.from_bytes(digest[:4], "big") >> 1, 1).numpy()
    return drawn


def _check_size(clip: Clip, upscale: int) -> None:
    width, height, limit = clip.size[0] * upscale, clip.size[1] * upscale, 2 * max_pixels()
    if max(width, height) > LONGEST_SIDE or width * height > limit:
        raise UnreadableClip(
            f"would have {width} x {height} pixels, expected at most {limit:,} in all and {LONGEST_SIDE:,} a side; "
            "choose a smaller --upscale"
        )


def _notes(clip: Clip, found: Searched, side: int, upscale: int) -> List[str]:
    """What people should know of how this clip was restored."""
    notes = list(clip.notes)
    if not found.faces:
        notes.append("no face was found")
    if found.damaged:
        notes.append(f"{found.damaged} frames or packets of it are damaged; what could not be read is left out")
    seconds = _seconds(clip, found)
    if clip.seconds - seconds > max(0.2, 0.05 * clip.seconds):
        notes.append(f"its frames end after {seconds:.1f} s, its header tells of {clip.seconds:.1f} s")
    if upscale == 1 and (clip.size[0] % 2 or clip.size[1] % 2) and found.faces:
        notes.append("has an odd width or height: it was written with colours in full resolution (4:4:4)")
    larger = [str(face.number + 1) for face in found.faces if _model_pixels(face, side) < LARGER]
    if larger:
        notes.append(f"larger than the model's {side} px, so that fine detail may be lost: track {', '.join(larger)}")
    return notes


def _clip_report(clip: Clip, found: Searched, side: int) -> ClipReport:
    seconds = [float(time * clip.unit) for time in found.times]
    tracks = [
        TrackReport(
            number=face.number + 1,
            first_frame=face.start,
            last_frame=face.end - 1,
            start=round(seconds[face.start], 3),
            end=round(seconds[face.end - 1], 3),
            searches=face.searches,
            score=round(face.score, 4),
            box=tuple(round(value, 1) for value in face.at(face.start).box),  # type: ignore[arg-type]  # four
            size=round(float(np.median([face.at(frame).size for frame in range(face.start, face.end)])), 1),
            model_pixels=round(_model_pixels(face, side), 3),
            larger_than_model=_model_pixels(face, side) < LARGER,
        )
        for face in found.faces
    ]
    return ClipReport(len(seconds), round(_seconds(clip, found), 3), found.damaged, clip.has_sound, tuple(tracks))


def _seconds(clip: Clip, found: Searched) -> float:
    return float((found.times[-1] - found.times[0]) * clip.unit + 1 / clip.rate)


def _model_pixels(face: FilmFace, side: int) -> float:
    return float(np.median([scale_of(similarity(points, ffhq_points(side))) for points in face.points]))
