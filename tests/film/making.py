"""Clips that tests make, and a detector that finds the faces in them: drawn faces in a magenta frame."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.faces.face import Face
from rethink_fr.pictures.geometry import ffhq_points

BORDER = 6  # px of the magenta frame
_IDENTITIES = {}


def face(identity: int = 3, side: int = 96) -> Image.Image:
    """A drawn face in its frame."""
    key = identity, side
    if key not in _IDENTITIES:
        drawn = Image.fromarray(draw_face(identity, 0, 128).image).resize((side, side), Image.Resampling.BICUBIC)
        framed = Image.new("RGB", (side + 2 * BORDER, side + 2 * BORDER), (255, 0, 255))
        framed.paste(drawn, (BORDER, BORDER))
        _IDENTITIES[key] = framed
    return _IDENTITIES[key]


def background(size: Tuple[int, int], seed: int = 0) -> Image.Image:
    """Soft colours without anything magenta."""
    coarse = np.random.default_rng(seed).integers(60, 160, [6, 8, 3], np.uint8)
    coarse[..., 1] = np.maximum(coarse[..., 1], 100)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def moving(
    count: int, size: Tuple[int, int] = (320, 240), start: Tuple[int, int] = (40, 60), step: Tuple[int, int] = (3, 1)
) -> List[Image.Image]:
    """Frames in which one face moves."""
    frames = []
    for number in range(count):
        frame = background(size)
        frame.paste(face(), (start[0] + step[0] * number, start[1] + step[1] * number))
        frames.append(frame)
    return frames


class FrameDetector:
    """Finds magenta frames; counts how often it is asked, and can be told to miss or to tremble."""

    name, side, smallest, largest, tells_upright = "frames", 1600, 20, 1600, False

    def __init__(self, trembling: float = 0.0) -> None:
        self.calls = 0
        self._trembling = trembling
        self._rng = np.random.default_rng(0)

    def __call__(self, picture: NDArray[np.uint8], smallest: float, threshold: float) -> List[Face]:
        self.calls += 1
        red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
        labels, count = ndimage.label((red > 170) & (green < 90) & (blue > 170), structure=np.ones([3, 3]))
        faces = []
        for rows, columns in ndimage.find_objects(labels):
            if min(rows.stop - rows.start, columns.stop - columns.start) < 40:
                continue
            box = columns.start, rows.start, columns.stop - 1, rows.stop - 1
            side = (box[2] - box[0] + 1) * 96 / (96 + 2 * BORDER)
            inner = np.array(box[:2]) + (box[2] - box[0] + 1 - side) / 2
            points = ffhq_points(256) * side / 256 + inner
            points += self._rng.normal(0, self._trembling, [5, 2]) if self._trembling else 0
            faces.append(Face(tuple(float(value) for value in box), points, 0.99))
        return faces


def write_clip(
    path: Path,
    frames: Sequence[Image.Image],
    times: Optional[Sequence[int]] = None,
    unit: Fraction = Fraction(1, 1000),
    sound: Optional[str] = "aac",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    **context: int,
) -> Path:
    """Write a clip; `times` in `unit`, 40 ms apart if none are given."""
    import av

    times = [int(number / 25 / unit) for number in range(len(frames))] if times is None else times
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "12"} if codec == "libx264" else {})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = unit
        if codec != "libx264":
            stream.bit_rate = 4_000_000
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        tone = add_sound(container, sound) if sound else None
        for frame, time in zip(frames, times):
            made = av.VideoFrame.from_image(frame)
            made.pts, made.time_base = time, unit
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))
        if tone is not None:
            write_tone(container, tone, float((times[-1] + 1 / (25 * unit)) * unit))
    return path


def add_sound(container, codec: str = "aac"):
    """A stream for `write_tone`; before anything is written."""
    stream = container.add_stream(codec, rate=48000)
    stream.layout = "mono"
    return stream


def write_tone(container, tone, seconds: float) -> None:
    """Write a tone of so many seconds."""
    import av

    wave = (8000 * np.sin(np.arange(int(seconds * 48000)) * 2 * np.pi * 440 / 48000)).astype(np.int16)
    for start in range(0, len(wave) - 1024, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(tone.encode(frame))
    container.mux(tone.encode(None))


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Turn an MP4: (x, y) is shown at (a x + c y, b x + d y), shifted."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # after version, flags, times, track, duration, layer, volume
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def pictures_of(path: Path) -> List[NDArray[np.uint8]]:
    """The frames of a clip."""
    from rethink_fr.film.clips import read_clip, read_frames

    return [np.asarray(frame.image) for frame in read_frames(read_clip(path))]


def times_of(path: Path) -> List[float]:
    """Seconds at which the frames of a clip are shown, as PyAV says."""
    import av

    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def sound_of(path: Path) -> List[Tuple[float, bytes]]:
    """The packets of a clip's sound: seconds and bytes."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [(float(one.pts * one.time_base), bytes(one)) for one in container.demux(audio=0) if one.size]
