"""How much restored faces flicker in a clip: as film, beside frame by frame.

    python tools/bench_flicker.py --model runs/quickstart

A drawn face moves, turns and grows along a known path over a still background; the clip is blurred and gets noise, anew
in each frame. It is restored by `rethink-fr restore` (tracks, places smoothed, one draw of noise), and frame by frame
as if each were a photo: each face found anew, with noise of its own; and so with one draw for all. Flicker is the mean
squared difference, in levels, of what follows each other after the known motion is undone, within the face. The clean
clip's own, which is what resampling leaves, stands beside it. "places" is the mean distance of the five points from the
true ones once their mean offset, which is the detector's idea of a face, is taken away; and how far that distance
changes from frame to frame: both in parts of the face's side. Times are for a frame.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np
from _benchmark import arguments_of
from PIL import Image
from scipy import ndimage

from rethink_fr.addons import warp
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.faces.face import Detector, Face
from rethink_fr.faces.opening import open_detector
from rethink_fr.faces.search import find_faces
from rethink_fr.film.clips import Clip, read_clip, read_frames
from rethink_fr.film.smoothing import smooth_points
from rethink_fr.film.tracks import Tracks
from rethink_fr.inference.background import lanczos
from rethink_fr.inference.faces import align, face_noise, restore_faces
from rethink_fr.inference.folder import restore_photos
from rethink_fr.inference.loading import LoadedRestorer, load_restorer
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import PhotoSettings
from rethink_fr.pictures.geometry import inverse, mapped
from rethink_fr.pictures.pasting import feathered_mask, paste, patch

_SIZE = (640, 360)
_RATE = 25
_REFERENCE = 256  # px: the face as it is drawn
_Matrix = Any  # [2, 3]


class Made(NamedTuple):
    """A clip that was made."""

    clean: List[Image.Image]
    degraded: List[Image.Image]
    motion: List[_Matrix]  # from the drawn face to each frame
    points: List[np.ndarray]  # the five true points in each frame


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--model", default="quickstart", help="run directory or SavedModel")
    parser.add_argument("--detector", type=Path, help="an ONNX file, for MTCNN")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--identity", type=int, default=3)
    parser.add_argument("--save", type=Path, help="folder for every tenth frame, side by side")
    arguments = parser.parse_args()
    made = make(arguments.frames, arguments.identity)
    detector = open_detector(arguments.detector)
    report_places(made, detector)
    restorer = load_restorer(arguments.model)
    results = {"clean": made.clean, "degraded": made.degraded}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        clip = write(path, made.degraded)
        plan = plan_photos([path], Path(folder, "out"), [], PhotoSettings("bench"))
        report = restore_photos(restorer, detector, plan, lanczos(1))
        film = [frame.image for frame in read_frames(read_clip(Path(folder, "out", "clip.mp4")))]
        frames = [frame.image for frame in read_frames(clip)]
        found = [find_faces(frame, detector) for frame in frames]
        for name, one_draw in (("frame by frame", False), ("frame by frame, one draw", True)):
            single = [photo(restorer, frame, faces, one_draw) for frame, faces in zip(frames, found)]
            results[name] = [frame.image for frame in read_frames(write(path, single))]
        results["film"] = film
    print(f"tracks: {[len(file.clip.tracks) for file in report.files if file.clip]}")
    print(f"{'':28}{'flicker':>10}{'of clean':>10}{'from clean':>12}")
    own = flicker(made.clean, made.motion)
    for name, images in results.items():
        mine = flicker(images, made.motion)
        print(f"{name:28}{mine:10.2f}{mine / own:10.1f}{from_clean(images, made):12.1f}")
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
        for number in range(0, len(made.clean), 10):
            row = np.concatenate([np.asarray(images[number]) for images in results.values()], axis=1)
            Image.fromarray(row).save(arguments.save / f"{number:03d}.png")


def make(count: int, identity: int) -> Made:
    """Draw the clip."""
    face = draw_face(identity, 0, _REFERENCE)
    alpha = feathered_mask(_REFERENCE, 0.02, 0.08)[..., None]
    layers = np.concatenate([face.image.astype(np.float32), alpha], axis=2)
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(40, 200, [10, 16, 3], np.uint8))
    behind = np.asarray(coarse.resize(_SIZE, Image.Resampling.BICUBIC), np.float32)
    clean, degraded, motion, points = [], [], [], []
    for number in range(count):
        phase = 2 * np.pi * number / 50
        angle, scale = 0.12 * np.sin(phase), 0.75 + 0.12 * np.sin(0.7 * phase)
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array([230 + 3.3 * number, 180 + 35 * np.sin(1.3 * phase)])
        there = np.column_stack([linear, centre - linear @ np.full(2, (_REFERENCE - 1) / 2)])
        drawn = warp(np.pad(layers, ((1, 1), (1, 1), (0, 0))), _shifted(inverse(there)), _SIZE[::-1])
        weight = drawn[..., 3:]
        picture = behind * (1 - weight) + drawn[..., :3] * weight
        clean.append(_image(picture))
        blurred = ndimage.gaussian_filter(picture, (1.5, 1.5, 0))
        degraded.append(_image(blurred + rng.normal(0, 8, picture.shape)))
        motion.append(there)
        points.append(mapped(there, face.landmarks[:5].astype(np.float64) - 0.5))
    return Made(clean, degraded, motion, points)


def report_places(made: Made, detector: Detector) -> None:
    """Print how well the points are known by each way, and what it costs."""
    print(f"{'points by':28}{'places':>10}{'change':>10}{'seconds':>10}")
    start = time.perf_counter()
    single = [_only(find_faces(frame, detector)) for frame in made.degraded]
    _print_places("detector", single, made, start)
    for every in (1, 3, 5, 8, 12):
        start = time.perf_counter()
        tracks = Tracks(_SIZE, every)
        for number, frame in enumerate(made.degraded):
            if tracks.add(frame) or number + 1 == len(made.degraded):
                tracks.found(find_faces(frame, detector))
        (track,) = tracks.tracks()
        smooth = tracks.in_frames(smooth_points(track, [number / _RATE for number in range(len(made.degraded))]))
        _print_places(f"tracks, every {every}", list(smooth), made, start)


def write(path: Path, images: Sequence[Image.Image]) -> Clip:
    """Write a clip, and read what it is."""
    import av

    path.unlink(missing_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
    return read_clip(path)


def photo(restorer: LoadedRestorer, frame: Image.Image, faces: Sequence[Face], one_draw: bool) -> Image.Image:
    """A frame restored as a photo."""
    aligned = align(frame, faces, restorer.resolution)
    squares = [face.crop for face in aligned]
    draws = [face_noise(restorer, square * (not one_draw), 0, 1) for square in squares]
    made = restore_faces(restorer, squares, draws)
    canvas = frame.copy()
    paste(canvas, [patch(one[0], face.crop, face.matrix, frame.size) for one, face in zip(made, aligned)])
    return canvas


def flicker(images: Sequence[Image.Image], motion: Sequence[_Matrix]) -> float:
    """The mean squared difference of what follows each other in the face's own frame of reference."""
    still = [_still(image, there) for image, there in zip(images, motion)]
    mask = feathered_mask(_REFERENCE)[..., None]
    changes = [np.sum(mask * np.square(after - before)) for before, after in zip(still, still[1:])]
    return float(np.mean(changes) / mask.sum() / 3)


def from_clean(images: Sequence[Image.Image], made: Made) -> float:
    """The mean squared difference from the clean clip, in the face."""
    mask = feathered_mask(_REFERENCE)[..., None]
    errors = [
        np.sum(mask * np.square(_still(one, there) - _still(clean, there)))
        for one, clean, there in zip(images, made.clean, made.motion)
    ]
    return float(np.mean(errors) / mask.sum() / 3)


def _still(image: Image.Image, there: _Matrix) -> np.ndarray:
    return warp(np.asarray(image, np.float32), there, (_REFERENCE, _REFERENCE))


def _only(faces: Sequence[Face]) -> Optional[np.ndarray]:
    return max(faces, key=lambda face: face.size).points if faces else None


def _print_places(name: str, found: Sequence[Optional[np.ndarray]], made: Made, start: float) -> None:
    seconds = (time.perf_counter() - start) / len(found)
    # In the drawn face, whose frame is that of FFHQ: its side is the measure.
    rows = [None if one is None else mapped(inverse(there), one) for one, there in zip(found, made.motion)]
    still = np.stack([row for row in rows if row is not None]) / _REFERENCE
    away = still - still.mean(axis=0)
    places = np.sqrt(np.square(away).sum(axis=-1).mean())
    change = np.sqrt(np.square(np.diff(away, axis=0)).sum(axis=-1).mean())
    missed = f"  ({rows.count(None)} missed)" if None in [row if row is None else 0 for row in rows] else ""
    print(f"{name:28}{places:10.2%}{change:10.2%}{seconds:10.3f}{missed}")


def _image(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _shifted(matrix: _Matrix) -> _Matrix:
    """The map into a picture with a border of one pixel around it."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + 1])


if __name__ == "__main__":
    main()
