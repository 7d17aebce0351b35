"""Reads clips: what is in them, and their frames one after the other, upright, in RGB and with their time stamps.

FFmpeg reads the files, through the package `av` (PyAV). A clip may come from anywhere: only formats that hold films are
opened, never a playlist that names other files or addresses, and no frame with more pixels than a picture may have.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import stat
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.names import printable
from rethink_fr.film.colours import Colours, to_rgb

CLIP_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"),
    *(".ogv", ".vob"),
)
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,nut"
LONGEST_SIDE = 16_384  # px: of what H.264 can hold
_TURNS = {  # by the linear part of a display matrix, which maps (x, y) as they are stored to how they are shown
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_90,
    (0, -1, 1, 0): Image.Transpose.ROTATE_270,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


class UnreadableClip(ValueError):  # noqa: N818 (reads as what happened)
    """A clip that cannot be read or written; `reason` says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClipFrame(NamedTuple):
    """One frame."""

    time: int  # in units of the clip's `unit`; larger than that of the frame before
    image: Image.Image  # upright, of mode RGB, with square pixels


@dataclass
class Clip:
    """What a clip holds. `notes` and `damaged` grow while its frames are read."""

    path: Path
    size: Tuple[int, int]  # width and height of its frames: upright, with square pixels
    rate: Fraction  # frames a second, on average
    unit: Fraction  # of time stamps, in seconds
    seconds: float  # as its header tells; 0 if it tells nothing
    colours: Colours
    has_sound: bool
    notes: List[str] = field(default_factory=list)  # what of it is not kept, in words
    damaged: int = 0  # packets and frames that could not be read


def is_clip(path: Path) -> bool:
    """Whether a file has the name of a clip."""
    return path.suffix.lower() in CLIP_SUFFIXES


def missing_package() -> Optional[str]:
    """Say what to install if clips cannot be read; None if they can."""
    if importlib.util.find_spec("av") is not None:
        return None
    return "is a clip, which needs the package av; pip install 'rethink-fr[film]'"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A clip's container, as PyAV gives it. What FFmpeg finds wrong with it within the block is raised as one line.

    Raises:
        UnreadableClip: if it is none.
    """
    import av

    av.logging.set_level(None)  # it writes to the terminal otherwise
    with contextlib.ExitStack() as stack:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise UnreadableClip("is no file; expected a clip")
            # Not by its name: in a name FFmpeg finds protocols, and those that are not UTF-8 it cannot open.
            file = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise UnreadableClip(f"cannot be read ({error.strerror}); check its permissions") from None
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        try:
            yield stack.enter_context(av.open(file, container_options=options, metadata_errors="replace"))
        except (av.FFmpegError, OSError) as error:  # what FFmpeg asks of the file may fail, too
            raise UnreadableClip(f"cannot be read as a clip ({_said(error)}); it may be damaged") from None


def read_clip(path: Path) -> Clip:
    """Read what a clip is, from its header and its first frame.

    Raises:
        UnreadableClip: if it has no frame that can be read, or frames that are too large.
    """
    with opened(path) as container:
        stream = _video(container)
        clip = Clip(
            path,
            size=(0, 0),
            rate=_rate(stream),
            unit=Fraction(stream.time_base or Fraction(1, 90_000)),
            seconds=_seconds(container, stream),
            colours=Colours(),
            has_sound=bool(container.streams.audio),
        )
        first = next(_decoded(container, stream, clip), None)
        if first is None:
            raise UnreadableClip("has no frame that can be read; it may be damaged")
        context = stream.codec_context
        clip.colours = Colours(
            int(first.color_range), int(context.color_primaries), int(context.color_trc), int(first.colorspace)
        )
        image = _image(first, stream, clip.colours)
        clip.size = image.size
        clip.notes += _notes(container, stream, first, clip)
        clip.damaged = 0  # counted again when all frames are read
    return clip


def read_frames(clip: Clip) -> Iterator[ClipFrame]:
    """Read the frames of a clip, the same ones each time. Those that are damaged are left out, and counted.

    Raises:
        UnreadableClip: if the file is not there any more, or can no longer be read.
    """
    clip.damaged, last, resized = 0, None, False
    with opened(clip.path) as container:
        stream = _video(container)
        # A step of an average frame for those that have no time.
        step = max(1, round(1 / (clip.rate * clip.unit)))
        for frame in _decoded(container, stream, clip):
            time = frame.pts if frame.pts is not None else frame.dts
            if time is None or (last is not None and time <= last):
                time = 0 if last is None else last + (step if time is None else 1)
            last = time
            image = _image(frame, stream, clip.colours)
            if image.size != clip.size:
                image, resized = image.resize(clip.size, Image.Resampling.LANCZOS), True
            yield ClipFrame(int(time), image)
    note = "its frames change their size; all were made as large as the first"
    if resized and note not in clip.notes:
        clip.notes.append(note)


def _video(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise UnreadableClip("holds no film; expected a clip")
    context = stream.codec_context
    if context is None:
        raise UnreadableClip("is of a kind that is not known here; convert it to H.264, for example")
    width, height = _square(context.width, context.height, stream)
    limit = max_pixels()
    if width * height > limit or max(width, height) > LONGEST_SIDE:
        raise UnreadableClip(
            f"has frames of {width} x {height} pixels, expected at most {limit:,} in all and {LONGEST_SIDE:,} a side; "
            "scale it down"
        )
    if not context.is_open:
        context.options = {"max_pixels": str(limit)}  # also for what a header inside the stream says
    return stream


def _decoded(container: Any, stream: Any, clip: Clip) -> Iterator[Any]:
    """PyAV's frames. A packet that cannot be decoded is left out; at one that cannot be read, the clip ends."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            clip.damaged += 1
            packet = None  # gives what the decoder still holds
        try:
            for frame in stream.decode(packet):
                clip.damaged += bool(frame.is_corrupt)
                yield frame
        except av.FFmpegError:
            clip.damaged += 1
        if packet is None:
            return


def _image(frame: Any, stream: Any, colours: Colours) -> Image.Image:
    """A frame as it is shown: in RGB, with square pixels, upright."""
    image = Image.fromarray(to_rgb(frame, colours).to_ndarray())
    size = _square(frame.width, frame.height, stream)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    turn = _turn(frame)[0]
    return image if turn is None else image.transpose(turn)


def _square(width: int, height: int, stream: Any) -> Tuple[int, int]:
    """A size with square pixels, none of them lost."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, 8) <= aspect <= 8:  # no film has that
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _turn(frame: Any) -> Tuple[Optional[Image.Transpose], bool]:
    """How a frame is turned to be upright, and whether that is all that its display matrix says."""
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return None, True
    numbers: NDArray[np.int32] = np.frombuffer(bytes(found), np.int32)
    a, b, c, d = (float(numbers[place]) for place in (0, 1, 3, 4))
    scale = float(np.sqrt(abs(a * d - b * c))) or 1.0
    linear = np.array([a, c, b, d]) / scale
    key = (round(linear[0]), round(linear[1]), round(linear[2]), round(linear[3]))
    return _TURNS.get(key), key in _TURNS and bool(np.abs(linear - key).max() < 0.02)


def _notes(container: Any, stream: Any, frame: Any, clip: Clip) -> Iterator[str]:
    """What of a clip is not kept."""
    depth = max((component.bits for component in frame.format.components), default=8)
    if depth > 8:
        yield f"its {depth} bits a channel became 8"
    if clip.colours.is_high_range:
        yield "has a high dynamic range (HDR), which no model here was trained for"
    if any(component.is_alpha for component in frame.format.components):
        yield "its transparency was dropped"
    if frame.interlaced_frame:
        yield "is interlaced: faces that move are restored from both fields at once; deinterlace it before"
    if not _turn(frame)[1]:
        yield "is to be turned by an angle that is no multiple of 90 degrees; it was left as it is"
    if _square(frame.width, frame.height, stream) != (frame.width, frame.height):
        yield f"its pixels are not square; it was written with square ones, {clip.size[0]} x {clip.size[1]}"
    if len(container.streams.video) > 1:
        yield "holds several films; the best one was taken"


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float((container.duration or 0) / 1_000_000)


def _rate(stream: Any) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate)
    return Fraction(25)


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(text)[:120]
