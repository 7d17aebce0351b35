"""Clips that are written in segments and put together."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from rethink_fr.film.clips import UnreadableClip, read_clip, read_frames
from rethink_fr.film.segments import assemble, frames_in, output_suffix, write_segment
from tests.film.making import moving, pictures_of, sound_of, times_of, write_clip

pytest.importorskip("av", reason="writing clips needs the package av")


def rewritten(path, target, lengths, images=None):
    """A clip read and written again, in segments of these lengths; what could not be kept."""
    clip = read_clip(path)
    frames = list(read_frames(clip))
    images = [frame.image for frame in frames] if images is None else images
    segments, start = [], 0
    for number, length in enumerate(lengths):
        segments.append(target.parent / f"{number}.part")
        write_segment(segments[-1], images[start : start + length], clip, images[0].size, target.suffix)
        assert frames_in(segments[-1]) == len(images[start : start + length])
        start += length
    with open(target, "wb") as file:
        return assemble(file, target.suffix, segments, clip, [frame.time for frame in frames])


@pytest.mark.parametrize(
    ("suffix", "sound", "unit"),
    [
        (".mp4", "aac", Fraction(1, 1000)),
        (".mp4", "aac", Fraction(1001, 30000)),
        (".mov", "pcm_s16le", Fraction(1, 600)),
        (".mkv", "libopus", Fraction(1, 1000)),
        (".mkv", None, Fraction(1, 1000)),
    ],
)
def test_times_and_sound_stay_as_they_were_and_pictures_nearly(tmp_path, suffix, sound, unit):
    times = np.cumsum([3, 1, 40, 7, 2, 1, 90, 30, 3, 3, 20, 1]).tolist()
    source = write_clip(tmp_path / f"in{suffix}", moving(12), times, unit, sound=sound)
    target = tmp_path / f"out{suffix}"
    assert rewritten(source, target, [5, 4, 3]) == []
    assert times_of(target) == pytest.approx(times_of(source), abs=1e-9)
    assert sound_of(target) == sound_of(source)
    assert bool(sound_of(source)) == bool(sound)
    for before, after in zip(pictures_of(source), pictures_of(target)):
        assert np.abs(before.astype(int) - after).mean() < 2.5  # what H.264 costs; 1.55 with PyAV 18.1


def test_webm_stays_webm(tmp_path):
    source = write_clip(tmp_path / "in.webm", moving(4), sound="libopus", codec="libvpx-vp9")
    rewritten(source, tmp_path / "out.webm", [2, 2])
    assert times_of(tmp_path / "out.webm") == pytest.approx(times_of(source), abs=1e-9)
    assert sound_of(tmp_path / "out.webm") == sound_of(source)
    clip = read_clip(tmp_path / "out.webm")
    assert clip.size == (320, 240)


def test_the_first_frame_may_be_late(tmp_path):
    source = write_clip(tmp_path / "in.mp4", moving(4), [500, 540, 580, 620])
    rewritten(source, tmp_path / "out.mp4", [4])
    assert times_of(tmp_path / "out.mp4") == pytest.approx(times_of(source), abs=1e-9)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)


@pytest.mark.parametrize("size", [(321, 240), (320, 241), (17, 33), (2, 2)])
def test_odd_and_tiny_sizes_stay(tmp_path, size):
    source = write_clip(tmp_path / "in.mp4", moving(2), sound=None)
    images = [Image.new("RGB", size, (200, 100, 50))] * 2
    rewritten(source, tmp_path / "out.mp4", [2], images)
    (first, _) = pictures_of(tmp_path / "out.mp4")
    assert first.shape == (size[1], size[0], 3)
    assert np.abs(first.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5])
def test_colours_stay_whatever_numbers_stand_for_them(tmp_path, matrix, full):
    source = write_clip(tmp_path / "in.mp4", moving(2), sound=None, colorspace=matrix, color_range=full)
    rewritten(source, tmp_path / "out.mp4", [2])
    before, after = read_clip(source), read_clip(tmp_path / "out.mp4")
    assert after.colours == before.colours
    difference = pictures_of(tmp_path / "out.mp4")[0].astype(int) - pictures_of(source)[0]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1


def test_tags_and_chapters_stay(tmp_path):
    import av

    if not hasattr(av.container.OutputContainer, "set_chapters"):
        pytest.skip("this PyAV knows no chapters; 16 does")
    source = write_clip(tmp_path / "in.mkv", moving(4))
    with av.open(str(source)) as old, av.open(str(tmp_path / "tagged.mkv"), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        new.metadata["title"] = "Summer"
        copies[1].metadata["language"] = "deu"
        new.set_chapters([{"id": 1, "start": 0, "end": 80, "time_base": Fraction(1, 1000), "metadata": {"title": "A"}}])
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    rewritten(tmp_path / "tagged.mkv", tmp_path / "out.mkv", [4])
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert made.metadata["title"] == "Summer"
        assert made.streams.audio[0].metadata["language"] == "deu"
        assert made.chapters()[0]["metadata"]["title"] == "A"


def test_sound_that_a_format_cannot_hold_is_said_in_one_line(tmp_path):
    source = write_clip(tmp_path / "in.mkv", moving(2), sound="pcm_s16le")
    with pytest.raises(UnreadableClip, match=r"its sound cannot be written to \.webm"):
        rewritten(source, tmp_path / "out.webm", [2])


def test_segments_that_do_not_fit_are_refused(tmp_path):
    clip = read_clip(write_clip(tmp_path / "in.mp4", moving(3), sound=None))
    part = tmp_path / "part"
    assert write_segment(part, [frame.image for frame in read_frames(clip)], clip, clip.size, ".mp4") == 3
    for times in ([0, 1], [0, 1, 2, 3]):
        with pytest.raises(UnreadableClip, match="finished parts have too"):
            assemble(io.BytesIO(), ".mp4", [part], clip, times)
    part.write_bytes(part.read_bytes()[:200])
    assert frames_in(part) in (0, 1)
    assert frames_in(tmp_path / "none") == 0


def test_endings():
    assert [output_suffix(suffix) for suffix in (".mp4", ".MOV", ".webm", ".avi", ".mts")] == [
        *(".mp4", ".MOV", ".webm", ".mkv", ".mkv")
    ]
