"""`rethink-fr restore` on whole photos from the command line, with a tiny trained run and the detector as it is."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.systems import SYSTEMS
from tests.command_line import PEAK_MEMORY, ROOT
from tests.evaluation.networks.test_onnx_network import made as onnx_embedder
from tests.faces.scenes import group
from tests.inference.photo_calls import names, pixels

PLACES = [(20, 30, 160), (200, 10, 120), (350, 120, 90)]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that was never trained: what matters is where its faces go."""
    folder = tmp_path_factory.mktemp("photos") / "run"
    model = ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16)
    save_model_section("rethink", model, folder / "config.yaml")
    save_average(folder / "checkpoints", SYSTEMS["rethink"].build(model))
    return folder


@pytest.fixture
def album(tmp_path) -> Path:
    folder = tmp_path / "album"
    (folder / "deep").mkdir(parents=True)
    group((480, 240), PLACES).save(folder / "three.jpg", quality=95)
    group((300, 220), PLACES[:1], "L").save(folder / "deep" / "grey.png")
    Image.new("RGB", (200, 100), (90, 120, 80)).save(folder / "meadow.png")
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "note.txt").write_text("hello")
    return folder


def restore(run: Path, output: Path, *arguments) -> int:
    return main(["restore", *map(str, arguments), "--model", str(run), "--output", str(output)])


def test_an_album_is_restored_and_all_is_told(run, album, tmp_path, capsys):
    out = tmp_path / "out"
    assert restore(run, out, album) == 1
    told = capsys.readouterr()
    assert "3 of 4 photos done; 4 faces restored; 1 without a face; 1 files that are no pictures skipped" in told.out
    assert "bad.png: not an image in a known format" in told.err and "no face was found" in told.err
    assert names(out) == ["deep/grey.png", "meadow.png", "report.json", "three.jpg"]
    assert (out / "meadow.png").read_bytes() == (album / "meadow.png").read_bytes()
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = {os.path.basename(file["input"]): file for file in report["files"]}
    assert [len(found[name]["faces"]) for name in ("three.jpg", "grey.png", "meadow.png")] == [3, 1, 0]
    assert report["skipped"] == [str(album / "note.txt")]
    with Image.open(out / "deep" / "grey.png") as image:
        assert image.mode == "L"
    group((480, 240), PLACES).save(album / "bad.png")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert restore(run, out, album) == 0
    told = capsys.readouterr().out
    assert "3 of 4 photos were done before; going on with the others" in told and "4 of 4 photos done" in told
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert restore(run, out, album) == 0
    assert "all 4 photos were done before" in capsys.readouterr().out


def test_every_option_at_once(run, album, tmp_path, capsys):
    out = tmp_path / "out"
    (album / "bad.png").unlink()
    network = tmp_path / "identity.onnx"
    network.write_bytes(onnx_embedder(["N", 3, 8, 8], ["N", 192]))
    options = ["--upscale", "2", "--samples", "2", "--suffix", "_new", "--ext", "png", "--only-center-face", "--blend"]
    options += ["0.8", "--match-colours", "--no-keep-grey", "--min-face", "40", "--detection-threshold", "0.8"]
    assert restore(run, out, album, *options, "--identity-net", network, "--seed", "3", "--noise-scale", "0.5") == 0
    assert names(out) == sorted(
        ["report.json", "meadow_new.png"]
        + [f"{stem}_new_{part}.png" for stem in ("three", "deep/grey") for part in ("1", "2", "sheet", "doubt")]
    )
    assert pixels(out / "three_new_1.png").shape == (480, 960, 3)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    (face,) = next(file for file in report["files"] if file["input"].endswith("three.jpg"))["faces"]
    assert len(face["consistency"]) == len(face["identity_angle"]) == 2 and face["spread"] is not None
    assert report["settings"]["upscale"] == 2 and report["settings"]["identity_net"] == str(network)


def test_faces_alone(run, album, tmp_path):
    assert restore(run, tmp_path / "out", album / "three.jpg", "--face-only") == 0
    assert names(tmp_path / "out") == ["report.json", *(f"three_face{number}.png" for number in (1, 2, 3))]


def test_the_faces_change_and_little_else(run, album, tmp_path):
    given = album / "three.png"
    group((480, 240), PLACES).save(given)
    assert restore(run, tmp_path / "out", given) == 0
    made, before = pixels(tmp_path / "out" / "three.png"), pixels(given)
    changed = (made != before).any(axis=2)
    for left, top, side in PLACES:
        assert changed[top + side // 3 : top + 2 * side // 3, left + side // 3 : left + 2 * side // 3].mean() > 0.9
    assert not changed[:, :10].any() and not changed[215:, :340].any()


def test_aligned_pictures_that_are_none_get_a_warning(run, album, tmp_path, capsys):
    assert restore(run, tmp_path / "out", album / "three.jpg", album / "meadow.png", "--aligned") == 0
    told = capsys.readouterr()
    assert "three.jpg: is not square (480 x 240 px)" in told.err and "meadow.png: no face was found" in told.err
    files = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["files"]
    assert [len(file["outputs"]) for file in files] == [1, 1] and all(file["notes"] for file in files)


MISTAKES = [
    (["PHOTO", "--output", "ALBUM"], "would be overwritten"),
    (["/no/such", "--output", "OUT"], "/no/such: no such file"),
    (["PHOTO", "--output", "OUT", "--min-face", "2"], "--min-face: expected 10 pixels or more"),
    (["PHOTO", "--output", "OUT", "--blend", "1.5"], "--blend: expected 0 to 1"),
    (["PHOTO", "--output", "OUT", "--detection-threshold", "-1"], "--detection-threshold: expected 0 to 1"),
    (["PHOTO", "--output", "OUT", "--samples", "0"], "--samples: expected 1 or more"),
    (["PHOTO", "--output", "OUT", "--suffix", "a/b"], "--suffix a/b: expected a part of a name"),
    (["PHOTO", "--output", "OUT", "--texture"], "--texture: works with --aligned only"),
    (["PHOTO", "--output", "OUT", "--detector", "x.pth"], "expected an ONNX file"),
    (["PHOTO", "--output", "OUT", "--detector", "x.onnx"], "--detector x.onnx: no such file"),
    (["PHOTO", "--output", "OUT", "--background-model", "ALBUM"], "no SavedModel here"),
    (["PHOTO", "--output", "OUT", "--identity-net", "x.onnx"], "--identity-net x.onnx: no such file"),
    (["PHOTO", "--output", "OUT", "--aligned", "--upscale", "2"], "--upscale: is for whole photos"),
    (["PHOTO", "--output", "OUT", "--aligned", "--no-keep-grey"], "--keep-grey: is for whole photos"),
    (["ALBUM/empty", "--output", "OUT"], "holds no photos"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_cheap_mistakes_are_told_before_anything_is_loaded(album, tmp_path, arguments, message):
    (album / "empty").mkdir()
    places = {"PHOTO": str(album / "three.jpg"), "ALBUM": str(album), "OUT": str(tmp_path / "out")}
    given = [places.get(part, part.replace("ALBUM/", f"{album}/")) for part in arguments]
    code = (
        "import sys; from rethink_fr.cli import main; code = main(['restore', *sys.argv[1:]]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--samples", "2")])
def test_a_photo_of_100_megapixels_takes_less_than_2_gb(run, tmp_path, options):
    photo = tmp_path / "large.jpg"
    large = Image.new("RGB", (12_000, 8_400), (96, 104, 92))
    large.paste(group((480, 240), PLACES).resize((4800, 2400)), (3000, 2500))
    large.save(photo, quality=90)
    code = PEAK_MEMORY + (
        "import sys; from rethink_fr.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "assert code == 0 and peak() < 2 << 20, peak()\n"
    )
    arguments = ["restore", str(photo), "--model", str(run), "--output", str(tmp_path / "out"), *options]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "3 faces restored" in done.stdout, done.stderr[-2000:]


def test_a_call_that_is_interrupted_goes_on(run, tmp_path):
    album, out = tmp_path / "album", tmp_path / "out"
    album.mkdir()
    for number in range(8):
        group((480, 240), PLACES).rotate(number).save(album / f"{number}.png")
    command = [sys.executable, "-m", "rethink_fr", "restore", str(album), "--model", str(run), "--output", str(out)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(out.glob("*.png"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was faster than the interrupt")
    assert process.returncode == 1 and "interrupted" in errors and "Traceback" not in errors
    done = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.png")}
    for path in done:
        np.asarray(Image.open(path))  # whole
    assert subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode == 0
    assert names(out) == [*(f"{number}.png" for number in range(8)), "report.json"]
    assert all(path.read_bytes() == data for path, (_, data) in done.items())
    # One may have been written a moment before the interrupt and not noted as done: it is restored again, to the same.
    assert sum(path.stat().st_mtime_ns != time_ns for path, (time_ns, _) in done.items()) <= 1
