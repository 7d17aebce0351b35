"""Clips through `rethink-fr restore`: faces followed, one draw for each, sound and times kept, work continued."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.inference.background import lanczos
from rethink_fr.inference.folder import restore_photos
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import PhotoSettings
from tests.command_line import ROOT
from tests.film.making import (
    FrameDetector,
    background,
    face,
    moving,
    pictures_of,
    set_display_matrix,
    sound_of,
    times_of,
    write_clip,
)

pytest.importorskip("av", reason="clips need the package av")

_TIMES = np.cumsum(np.random.default_rng(0).integers(20, 70, 70)).tolist()


class Restorer:
    """Stands in for a loaded restorer: what it makes is `change` of the squares, and it notes the noise it is given."""

    resolution, noise_shape, takes_fidelity = 64, (2, 3), False

    def __init__(self, change=lambda squares, noise: squares, stop_after=None):
        self.noise = []
        self.calls = 0
        self._change, self._stop_after = change, stop_after

    def draw_noise(self, seed, count, of=None):
        return tf.stack([tf.random.stateless_normal(self.noise_shape, [seed, number]) for number in range(count)])

    def __call__(self, squares, noise=None, noise_scale=1.0, seed=0, fidelity=None):
        self.calls += 1
        if self._stop_after is not None and self.calls > self._stop_after:
            raise KeyboardInterrupt
        self.noise += [] if noise is None else [row.tobytes() for row in np.asarray(noise)]
        return self._change(squares, noise)


def negated(squares, noise):
    """Stands in for what a restorer does."""
    return -squares


def run(inputs, output, restorer=None, detector=None, overwrite=False, **settings):
    """Restore as the command does."""
    inputs = [inputs] if isinstance(inputs, Path) else inputs
    settings = PhotoSettings("stand-in", **settings)
    plan = plan_photos(inputs, output, [], settings, overwrite)
    return restore_photos(restorer or Restorer(), detector or FrameDetector(), plan, lanczos(settings.upscale))


def command(*arguments):
    """The command line, in a process that must not load TensorFlow."""
    code = (
        "import sys; from rethink_fr.cli import main; code = main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "restore", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT
    )


def test_a_clip_becomes_a_clip_with_its_times_and_sound(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", moving(70, step=(2, 1)), _TIMES)
    restorer = Restorer(negated)
    report = run(source, tmp_path / "out", restorer)
    target = tmp_path / "out" / "clip.mp4"
    assert times_of(target) == pytest.approx(times_of(source), abs=1e-9)
    assert sound_of(target) == sound_of(source) != []
    before, after = pictures_of(source), pictures_of(target)
    for number in (0, 33, 69):
        x, y = 40 + 2 * number, 60 + number
        middle = (slice(y + 45, y + 65), slice(x + 45, x + 65))
        expected = 255.0 - before[number][middle]
        assert np.abs(after[number][middle] - expected).mean() < 12  # the face is negative
        untouched = np.abs(before[number].astype(int) - after[number])[:, :20]
        assert untouched.mean() < 1.5
    (file,) = report.files
    (track,) = file.clip.tracks
    assert (track.first_frame, track.last_frame) == (0, 69)
    assert track.start == pytest.approx(times_of(source)[0], abs=1e-3)
    assert file.clip.frames == 70 and file.clip.has_sound
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["files"][0]["clip"]["tracks"][0]["number"] == 1
    assert "1 of 1 clips done; 1 faces restored" in report.summary()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mp4", "report.json"]
    # And once more: there is nothing to do.
    again = Restorer()
    assert run(source, tmp_path / "out", again).files == report.files
    assert not again.calls


def test_each_track_has_one_draw_of_noise_and_the_seed_decides_it(tmp_path):
    frames = []
    for number in range(12):
        frame = background((320, 240))
        frame.paste(face(3, 64), (20 + number, 60))
        frame.paste(face(5, 64), (200, 60 + number))
        frames.append(frame)
    source = write_clip(tmp_path / "clip.mp4", frames, sound=None)
    draws = []
    for seed in (0, 0, 1):
        restorer = Restorer()
        run(source, tmp_path / f"out{len(draws)}", restorer, seed=seed)
        assert len(restorer.noise) == 25  # and one to know the model by
        draws.append(set(restorer.noise[1:]))
    assert len(draws[0]) == 2
    assert draws[0] == draws[1]
    assert not draws[0] & draws[2]


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr("rethink_fr.inference.film._SEGMENT", 20)


@pytest.mark.parametrize("stop_after", [pytest.param(2, marks=pytest.mark.slow), 7, 11])
def test_an_interrupted_clip_goes_on_where_it_stopped(tmp_path, stop_after, short_segments):
    # Twice 20 frames and a few, four squares a call, and one call to know the model by: it stops in each segment.
    source = write_clip(tmp_path / "clip.mp4", moving(44, step=(1, 0)))
    run(source, tmp_path / "whole", Restorer(negated))
    detector, output = FrameDetector(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(source, output, Restorer(negated, stop_after), detector)
    assert not (output / "clip.mp4").exists()
    searches = detector.calls
    rest = Restorer(negated)
    report = run(source, output, rest, detector)
    assert not report.failed
    assert rest.calls == 1 + sum([5, 5, 1][(stop_after - 1) // 5 :])
    assert detector.calls == searches  # no frame was searched again
    assert (output / "clip.mp4").read_bytes() == (tmp_path / "whole" / "clip.mp4").read_bytes()
    assert sorted(path.name for path in output.iterdir()) == ["clip.mp4", "report.json"]


@pytest.mark.parametrize("change", ["model", "clip"])
def test_what_was_kept_of_another_model_or_clip_is_not_used(tmp_path, change, short_segments):
    source = write_clip(tmp_path / "clip.mp4", moving(24, step=(1, 0)), sound=None)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", Restorer(stop_after=6))
    restorer = Restorer(negated if change == "model" else (lambda squares, noise: squares))
    if change == "clip":
        write_clip(source, moving(24, step=(1, 1)), sound=None)
    run(source, tmp_path / "out", restorer)
    assert restorer.calls == 1 + 5 + 1


def test_a_clip_without_faces_is_copied_byte_for_byte(tmp_path):
    source = write_clip(
        tmp_path / "clip.avi", [background((320, 240))] * 5, sound="mp3", codec="mpeg4", unit=Fraction(1, 25)
    )
    report = run(source, tmp_path / "out")
    assert (tmp_path / "out" / "clip.avi").read_bytes() == source.read_bytes()
    (file,) = report.files
    assert file.copied and file.notes == ("no face was found",) and file.clip.tracks == ()
    assert "1 without a face" in report.summary()


def test_other_formats_become_matroska_and_sound_is_copied(tmp_path):
    source = write_clip(tmp_path / "clip.avi", moving(5), sound="mp3", codec="mpeg4", unit=Fraction(1, 25))
    run(source, tmp_path / "out")
    assert [packet for _, packet in sound_of(tmp_path / "out" / "clip.mkv")] == [
        packet for _, packet in sound_of(source)
    ]
    assert times_of(tmp_path / "out" / "clip.mkv") == pytest.approx(times_of(source), abs=1e-3)


def test_turned_clips_become_upright_and_enlarged_ones_large(tmp_path):
    sideways = [frame.transpose(Image.Transpose.ROTATE_90) for frame in moving(4)]
    source = write_clip(tmp_path / "clip.mp4", sideways, sound=None)
    set_display_matrix(source, 0, 1, -1, 0)
    report = run(source, tmp_path / "out", Restorer(negated), upscale=2)
    (file,) = report.files
    assert len(file.clip.tracks) == 1 and file.size == (320, 240)
    (first, *_) = pictures_of(tmp_path / "out" / "clip.mp4")
    assert first.shape == (480, 640, 3)
    plain = np.asarray(moving(1)[0].resize((640, 480)))
    middle = (slice(2 * 105, 2 * 125), slice(2 * 85, 2 * 105))
    assert np.abs(first[middle] - (255.0 - plain[middle])).mean() < 15


def test_grey_film_stays_grey(tmp_path):
    class Anywhere(FrameDetector):
        def __call__(self, picture, smallest, threshold):
            return super().__call__(np.asarray(moving(1)[0]), smallest, threshold)

    grey = [frame.convert("L").convert("RGB") for frame in moving(3, step=(0, 0))]
    source = write_clip(tmp_path / "clip.mp4", grey, sound=None)
    red = Restorer(lambda squares, noise: tf.constant([1.0, -1.0, -1.0]) * tf.ones_like(squares))
    for keep, spread in ((True, range(0, 4)), (False, range(100, 256))):
        run(source, tmp_path / f"out{keep}", red, Anywhere(), keep_grey=keep)
        (first, *_) = pictures_of(tmp_path / f"out{keep}" / "clip.mp4")
        assert np.ptp(first.astype(int), axis=2).max() in spread


def test_a_face_that_comes_and_goes_in_a_shot_fades(tmp_path):
    empty = background((320, 240))
    frames = [*[empty] * 8, *moving(22, step=(0, 0)), *[empty] * 5]
    source = write_clip(tmp_path / "clip.mp4", frames, sound=None)
    run(source, tmp_path / "out", Restorer(lambda squares, noise: -tf.ones_like(squares)))
    middle = (slice(105, 125), slice(85, 105))
    levels = [frame[middle].mean() for frame in pictures_of(tmp_path / "out" / "clip.mp4")]
    assert levels[18] < 4
    assert np.all(np.diff(levels[8:13]) < 0) and np.all(np.diff(levels[25:30]) > 0)


def test_only_the_middle_face_is_restored_if_that_is_asked_for(tmp_path):
    frame = background((320, 240))
    frame.paste(face(3, 64), (10, 10))
    frame.paste(face(5, 64), (130, 90))
    source = write_clip(tmp_path / "clip.mp4", [frame] * 3, sound=None)
    (file,) = run(source, tmp_path / "out", only_center_face=True).files
    (track,) = file.clip.tracks
    assert track.box[0] > 100


def test_one_bad_clip_does_not_stop_the_rest_of_a_folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_clip(folder / "a.mp4", moving(3))
    (folder / "b.mp4").write_text("no clip")
    damaged = write_clip(folder / "c.mkv", moving(40)).read_bytes()
    (folder / "c.mkv").write_bytes(damaged[: len(damaged) * 3 // 4])
    moving(1)[0].save(folder / "d.png")
    report = run(folder, tmp_path / "out")
    outcome = {Path(file.input).name: file for file in report.files}
    assert [outcome[name].error is None for name in ("a.mp4", "b.mp4", "c.mkv", "d.png")] == [True, False, True, True]
    assert "cannot be read as a clip" in outcome["b.mp4"].error
    assert any("its header tells" in note for note in outcome["c.mkv"].notes)
    assert len(outcome["d.png"].faces) == 1 and outcome["d.png"].clip is None
    assert "3 of 4 photos and clips done" in report.summary()
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_options_for_photos_are_refused_by_name_before_anything_is_loaded(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", moving(2), sound=None)
    (tmp_path / "net.onnx").write_bytes(b"")
    done = command(source, "--output", tmp_path / "out", "--aligned")
    assert done.returncode == 2 and "clip.mp4: is a clip, and --aligned is for single faces" in done.stderr
    for options in (["--samples", "2"], ["--face-only"], ["--ext", "png"], ["--identity-net", tmp_path / "net.onnx"]):
        done = command(source, "--output", tmp_path / "out", *options)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert f"clip.mp4: is a clip, and {options[0]} is for photos" in done.stderr
    assert not (tmp_path / "out").exists()
    # In a folder, clips are listed as failed and the photos are restored.
    moving(1)[0].save(tmp_path / "photo.png")
    report = run(tmp_path, tmp_path / "out", samples=2)
    assert [(Path(file.input).name, bool(file.error)) for file in report.files] == [
        ("clip.mp4", True),
        ("photo.png", False),
    ]


def test_without_the_package_clips_say_what_to_install(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "clip.mp4", moving(2), sound=None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"clip.mp4: is a clip, .* pip install 'rethink-fr\[film\]'"):
        plan_photos([source], tmp_path / "out", [], PhotoSettings("stand-in"))
    (photo,) = plan_photos([tmp_path], tmp_path / "out", [], PhotoSettings("stand-in")).photos
    assert "pip install" in photo.error


def test_what_would_be_too_large_is_refused(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "clip.mp4", moving(2), sound=None)
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "100000")
    (file,) = run(source, tmp_path / "out", upscale=2).files
    assert "would have 640 x 480 pixels" in file.error and "--upscale" in file.error


def test_the_input_is_never_written_over(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", moving(2), sound=None)
    with pytest.raises(ValueError, match="same file as the input"):
        run(source, tmp_path, overwrite=True)
