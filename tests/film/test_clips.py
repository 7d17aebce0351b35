"""Reading clips: times, colours, turned and odd ones, damaged and foreign ones."""

import os
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.film.clips import UnreadableClip, is_clip, read_clip, read_frames
from tests.film.making import (
    add_sound,
    moving,
    pictures_of,
    set_display_matrix,
    write_clip,
    write_tone,
)

pytest.importorskip("av", reason="reading clips needs the package av")


def test_frames_come_with_their_own_times(tmp_path):
    times = [0, 13, 90, 100, 350, 351, 600]
    clip = read_clip(write_clip(tmp_path / "clip.mp4", moving(7), times))
    assert [float(frame.time * clip.unit) for frame in read_frames(clip)] == pytest.approx([t / 1000 for t in times])
    assert clip.size == (320, 240)
    assert clip.has_sound and not clip.notes and not clip.damaged


@pytest.mark.parametrize(
    "matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0)]
)
def test_turned_and_mirrored_clips_are_upright(tmp_path, matrix):
    path = write_clip(tmp_path / "clip.mp4", moving(3), sound=None)
    (plain, *_) = pictures_of(path)
    set_display_matrix(path, *matrix)
    (turned, *_) = pictures_of(path)
    a, b, c, d = matrix
    rows, columns = np.mgrid[: plain.shape[0], : plain.shape[1]]
    x, y = a * columns + c * rows, b * columns + d * rows
    expected = np.empty_like(turned)
    expected[y - y.min(), x - x.min()] = plain
    np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5])
def test_colours_are_those_that_the_clip_says(tmp_path, matrix, full):
    import av

    colours = np.array([(200, 40, 60), (30, 180, 90), (20, 60, 210), (128, 128, 128)], np.float64)
    red, blue = (0.2126, 0.0722) if matrix == 1 else (0.299, 0.114)  # ITU-R BT.709 and BT.601
    luma = colours @ [red, 1 - red - blue, blue]
    chroma = [(colours[:, 2] - luma) / (2 - 2 * blue), (colours[:, 0] - luma) / (2 - 2 * red)]
    if not full:
        luma, chroma = 16 + luma * 219 / 255, [one * 224 / 255 for one in chroma]
    planes = np.rint([luma, 128 + chroma[0], 128 + chroma[1]]).astype(np.uint8).reshape(3, 2, 2)
    frame = av.VideoFrame.from_ndarray(planes.repeat(64, 1).repeat(64, 2), format="yuv444p")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (found,) = pictures_of(path)
    assert np.abs(found[32::64, 32::64].astype(int) - colours.reshape(2, 2, 3)).max() <= 2


def test_pixels_that_are_not_square_become_square(tmp_path):
    clip = read_clip(
        write_clip(tmp_path / "clip.mp4", moving(2, (360, 240)), sound=None, sample_aspect_ratio=Fraction(4, 3))
    )
    assert clip.size == (480, 240)
    assert "not square" in clip.notes[0]


def test_a_damaged_part_is_left_out_and_the_rest_is_read(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", moving(40), sound=None)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 3000] = random.Random(1).randbytes(3000)
    path.write_bytes(data)
    clip = read_clip(path)
    first = [frame.time for frame in read_frames(clip)]
    assert 20 < len(first) < 40
    assert clip.damaged
    assert [frame.time for frame in read_frames(clip)] == first


def test_a_clip_that_ends_too_early_is_read_to_there(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", moving(40), sound=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    assert 5 < len(list(read_frames(read_clip(path)))) < 40


@pytest.mark.parametrize(
    "content", [b"", b"a text\n" * 99, b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"]
)
def test_what_is_no_clip_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableClip, match="cannot be read as a clip"):
        read_clip(path)


def test_a_playlist_opens_no_other_file(tmp_path):
    write_clip(tmp_path / "secret.mp4", moving(3), sound=None)
    path = tmp_path / "clip.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{tmp_path}/secret.mp4'\n")
    with pytest.raises(UnreadableClip):
        read_clip(path)


def test_sound_alone_a_folder_and_a_pipe_are_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        write_tone(container, add_sound(container), 0.5)
    with pytest.raises(UnreadableClip, match="holds no film"):
        read_clip(tmp_path / "sound.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path, tmp_path / "pipe.mp4"):
        with pytest.raises(UnreadableClip, match="is no file"):
            read_clip(path)
    with pytest.raises(UnreadableClip, match="cannot be read"):
        read_clip(tmp_path / "none.mp4")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", moving(2), sound=None)
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "10000")
    with pytest.raises(UnreadableClip, match="320 x 240 pixels, expected at most 10,000"):
        read_clip(path)


def test_names_in_any_bytes_are_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 http:.mp4")
    write_clip(tmp_path / "clip.mp4", moving(2), sound=None).rename(path)
    assert read_clip(path).size == (320, 240)


def test_frames_that_change_their_size_become_as_large_as_the_first(tmp_path):
    path = tmp_path / "clip.mpg"  # each part has a header of its own
    data = b""
    for size in ((320, 240), (160, 120)):
        part = tmp_path / "part.mpg"
        write_clip(part, moving(5, size, (10, 5), (1, 0)), unit=Fraction(1, 25), sound=None, codec="mpeg2video")
        data += part.read_bytes()
    path.write_bytes(data)
    clip = read_clip(path)
    frames = list(read_frames(clip))
    assert {frame.image.size for frame in frames} == {(320, 240)} and len(frames) >= 8
    assert any("change their size" in note for note in clip.notes)
    assert all(one.time < other.time for one, other in zip(frames, frames[1:]))


def test_names_of_clips():
    assert is_clip(Path("a/B.MP4")) and not is_clip(Path("a.gif")) and not is_clip(Path("mp4"))
