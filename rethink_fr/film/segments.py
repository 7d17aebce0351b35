"""Writes clips in segments: each one is encoded for itself, and in the end all are put together with the sound.

Segments hold frames in their order and nothing of their times: no frame refers to a later one, so that the packet with
number n is frame n, and gets its time stamp when the clip is put together. The sound is copied packet by packet, not
encoded again.
"""

from __future__ import annotations

import heapq
import os
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
from PIL import Image

from rethink_fr.files.names import printable
from rethink_fr.files.writing import atomic_file
from rethink_fr.film.clips import Clip, UnreadableClip, opened
from rethink_fr.film.colours import from_rgb

# Formats of FFmpeg by the endings that clips are written with; others become Matroska, which holds any sound.
_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Few frames are held at a time: of 33 megapixels each takes 50 MB.
_H264 = {"crf": "16", "preset": "fast", "bf": "0", "rc-lookahead": "8", "threads": "4"}
_VP9 = {"crf": "18", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4", "lag-in-frames": "0"}


class _Timed(NamedTuple):
    seconds: Fraction
    order: int  # of those that are at one time
    packet: Any


def output_suffix(suffix: str) -> str:
    """With which ending a clip is written: its own if films are written in that format, or .mkv."""
    return suffix if suffix.lower() in _CONTAINERS else ".mkv"


def write_segment(path: Path, images: Iterable[Image.Image], clip: Clip, size: Tuple[int, int], suffix: str) -> int:
    """Encode frames, each of this size (width, height), and return how many; `suffix` is that of the whole clip.

    Raises:
        UnreadableClip: if they cannot be encoded.
        WriteError: if the file cannot be written.
    """
    import av

    count = 0
    with atomic_file(path) as file:
        try:
            with av.open(file, "w", format="matroska") as container:
                stream = _encoder(container, clip, size, suffix)
                for image in images:
                    frame = _frame(image, clip, size)
                    frame.pts, frame.time_base = count, 1 / clip.rate
                    container.mux(stream.encode(frame))
                    count += 1
                container.mux(stream.encode(None))
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, UnreadableClip):
                raise
            raise UnreadableClip(f"frames of {size[0]} x {size[1]} pixels cannot be encoded ({_said(error)})") from None
    return count


def frames_in(path: Path) -> int:
    """How many frames a finished segment has; 0 if there is none, or it cannot be read."""
    if not path.is_file():
        return 0
    try:
        return sum(1 for _ in _packets(path))
    except UnreadableClip:
        return 0


def assemble(file: IO[bytes], suffix: str, segments: Sequence[Path], clip: Clip, times: Sequence[int]) -> List[str]:
    """Put a clip together: the frames of its segments at their times, and the sound of the clip they come from.

    Args:
        file: that is written to.
        suffix: of its name.
        segments: made by `write_segment`, in order.
        clip: that was read.
        times: of all frames, in the clip's unit.

    Returns:
        What could not be kept, in words.

    Raises:
        UnreadableClip: if the segments do not have so many frames, or the sound cannot be written in this format.
    """
    import av

    notes: List[str] = []
    with opened(clip.path) as source, opened(segments[0]) as first:
        try:
            with av.open(file, "w", format=_CONTAINERS[suffix.lower()]) as target:
                video = target.add_stream_from_template(first.streams.video[0])
                video.time_base = clip.unit
                video.metadata.update(_plain(source.streams.best("video").metadata))
                target.metadata.update(_plain(source.metadata))
                copies = _copies(source, target, suffix, clip, notes)
                if hasattr(target, "set_chapters"):  # from PyAV 16 on, which needs Python 3.10
                    target.set_chapters(source.chapters())
                streams = (_film_packets(segments, clip, times, video), _copied_packets(source, copies))
                for timed in heapq.merge(*streams, key=lambda one: one[:2]):
                    target.mux_one(timed.packet)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, UnreadableClip):
                raise
            raise UnreadableClip(
                f"its sound cannot be written to {suffix} ({_said(error)}); convert it to .mkv"
            ) from None
    return notes


def _encoder(container: Any, clip: Clip, size: Tuple[int, int], suffix: str) -> Any:
    codec, options = ("libvpx-vp9", _VP9) if suffix.lower() == ".webm" else ("libx264", _H264)
    stream = container.add_stream(codec, rate=clip.rate, options=dict(options))
    stream.width, stream.height = size
    stream.pix_fmt = _pixels(size)
    context = stream.codec_context
    context.time_base = 1 / clip.rate
    colours = clip.colours.told(clip.size)
    context.color_range, context.colorspace = colours.range, colours.matrix
    context.color_primaries, context.color_trc = colours.primaries, colours.transfer
    return stream


def _frame(image: Image.Image, clip: Clip, size: Tuple[int, int]) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGB")), format="rgb24")
    return from_rgb(frame, clip.colours.told(clip.size), _pixels(size))


def _pixels(size: Tuple[int, int]) -> str:
    """Halved colours need even sides."""
    return "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"


def _said(error: BaseException) -> str:
    return printable(str(error))[:120]


def _packets(path: Path) -> Iterator[Any]:
    with opened(path) as container:
        yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _film_packets(segments: Sequence[Path], clip: Clip, times: Sequence[int], stream: Any) -> Iterator[_Timed]:
    number = 0
    usual = max(1, round(1 / (clip.rate * clip.unit)))
    for segment in segments:
        for packet in _packets(segment):
            if number == len(times):
                raise UnreadableClip("its finished parts have too many frames; run again")
            following = times[number + 1] if number + 1 < len(times) else times[number] + usual
            packet.stream = stream
            packet.time_base = clip.unit
            packet.pts = packet.dts = times[number]
            packet.duration = following - times[number]
            yield _Timed(times[number] * clip.unit, 0, packet)
            number += 1
    if number != len(times):
        raise UnreadableClip("its finished parts have too few frames; run again")


def _copies(source: Any, target: Any, suffix: str, clip: Clip, notes: List[str]) -> List[Tuple[Any, Any]]:
    """Streams that are copied, with their copies: sound; and subtitles if the format stays the same."""
    same = os.path.splitext(clip.path.name)[1].lower() == suffix.lower()
    pairs = []
    for stream in source.streams:
        if stream.type == "audio" or (stream.type == "subtitle" and same):
            copy = target.add_stream_from_template(stream)
            copy.metadata.update(_plain(stream.metadata))
            pairs.append((stream, copy))
        elif stream.type != "video":
            notes.append(f"what it holds of the kind {stream.type} was dropped")
    return pairs


def _copied_packets(source: Any, copies: Sequence[Tuple[Any, Any]]) -> Iterator[_Timed]:
    import av

    if not copies:
        return
    by_stream = {stream.index: copy for stream, copy in copies}
    try:
        for packet in source.demux([stream for stream, _ in copies]):
            if packet.dts is None:  # the end of a stream
                continue
            seconds = packet.dts * Fraction(packet.time_base)
            order = packet.stream.index + 1
            packet.stream = by_stream[packet.stream.index]
            yield _Timed(seconds, order, packet)
    except av.FFmpegError:  # the clip ends here, as its frames do
        return


def _plain(metadata: Any) -> Any:
    """Tags of a container without those that say how the old one was written."""
    own = ("encoder", "major_brand", "minor_version", "compatible_brands", "rotate", "duration")
    return {key: value for key, value in metadata.items() if key.lower() not in own}
