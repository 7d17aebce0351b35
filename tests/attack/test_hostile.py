"""Folders of hostile files through whole commands: what is good is done, the rest is told, nothing hangs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.attack.layer import contents, hidden
from tests.attack.test_commands_killed import COMMAND, TOY
from tests.attack.zoo import Zoo, make_zoo, png


@pytest.fixture(scope="module")
def model(tensorflow_trials, tmp_path_factory) -> Path:
    """A run that can restore."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "toy.yaml").write_text(TOY)
    made = tensorflow_trials.run(
        COMMAND, folder, "train", "--config", folder / "toy.yaml", "--output", folder / "model"
    )
    assert made.code == 0, made.output
    return folder / "model"


@pytest.fixture
def zoo(tmp_path) -> Zoo:
    return make_zoo(tmp_path / "zoo")


def run(trials, *arguments, code: int = 0):
    """A command; its exit code is as expected, and it says nothing that a user should not see."""
    ended = trials.run(COMMAND, Path("/nowhere"), *arguments)
    assert ended.code == code, ended.output
    assert "Traceback" not in ended.output and ended.peak < 2 << 30
    assert "<script>alert" not in ended.output or "\nline <script>" not in ended.output
    return ended


def test_restore(tensorflow_trials, model, zoo, tmp_path):
    output = tmp_path / "out"
    ended = run(tensorflow_trials, "restore", zoo.folder, "--aligned", "--model", model, "--output", output, code=1)
    for name in zoo.bad:
        assert name in ended.output
    report = json.loads((output / "report.json").read_bytes().decode("utf-8"))
    found = {os.path.relpath(file["input"], zoo.folder): file for file in report["files"]}
    assert {name for name, file in found.items() if not file["error"]} == set(zoo.good)
    assert {name for name, file in found.items() if file["error"]} == set(zoo.bad)
    for name in zoo.good:
        for one in found[name]["outputs"]:
            assert (output / one).is_file()
    assert not hidden(output)


def test_degrade(tensorflow_trials, zoo, tmp_path):
    ended = run(tensorflow_trials, "degrade", zoo.folder, "--output", tmp_path / "out", code=1)
    for name in zoo.bad:
        assert name in ended.output
    assert len([name for name in contents(tmp_path / "out") if name.endswith(".png")]) >= len(zoo.good)


def test_prepare_and_train(tensorflow_trials, model, zoo, tmp_path):
    output = tmp_path / "out"
    run(tensorflow_trials, "prepare", zoo.folder, "--size", "32", "--output", output, code=1)
    manifest = json.loads((output / "manifest.json").read_bytes().decode("utf-8"))
    assert manifest["records"] == len(zoo.good)
    assert {entry["name"] for entry in manifest["unreadable"]} == set(zoo.bad)
    for source in (zoo.folder, output):
        (tmp_path / "toy.yaml").write_text(TOY.replace("data: {", f"data: {{train: {source}, "))
        ended = run(
            tensorflow_trials, "train", "--config", tmp_path / "toy.yaml", "--output", tmp_path / f"run {source.name}"
        )
        assert f"{len(zoo.bad)} unreadable" in ended.output


def test_evaluate(tensorflow_trials, zoo, tmp_path):
    ended = run(
        tensorflow_trials,
        *("evaluate", "--restored", zoo.folder, "--reference", zoo.folder, "--metrics", "psnr", "--output"),
        *(tmp_path / "report.json", "--html", tmp_path / "page.html"),
        code=1,
    )
    assert "pipe.png" in ended.output
    page = (tmp_path / "page.html").read_bytes().decode("utf-8")
    assert "<script>alert" not in page
    json.loads((tmp_path / "report.json").read_bytes().decode("utf-8"))


def test_links_onto_the_inputs(tensorflow_trials, model, tmp_path):
    """However the output folder leads to the pictures, they stay as they are."""
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/a.png"):
        Image.fromarray(np.zeros([32, 32, 3], np.uint8)).save(photos / name)
    (tmp_path / "link").symlink_to("photos")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/deep").symlink_to("../photos/deep")
    (tmp_path / "hard").mkdir()
    os.link(photos / "a.png", tmp_path / "hard/a.png")
    before = contents(photos)
    for output in ("photos", "link", "other", "hard"):
        for more in ([], ["--overwrite"]):
            for command in (["restore", "--aligned", "--model", model], ["degrade"]):
                ended = tensorflow_trials.run(
                    COMMAND, Path("/nowhere"), *command, photos, "--output", tmp_path / output, *more
                )
                assert ended.code in (1, 2) and "Traceback" not in ended.output, ended.output
                assert contents(photos) == before


def test_no_two_outputs_share_a_name(tensorflow_trials, model, tmp_path):
    """Nor does a picture that cannot be read take the name of one that can."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png", "b.webp"):
        Image.fromarray(np.zeros([32, 32, 3], np.uint8)).save(photos / name)
    (photos / "a.jpg").write_bytes(b"not a picture")
    run(tensorflow_trials, "restore", photos, "--aligned", "--model", model, "--output", tmp_path / "out", code=1)
    report = json.loads((tmp_path / "out/report.json").read_text())
    failed = {Path(file["input"]).name for file in report["files"] if file["error"]}
    assert failed == {"a.jpg", "b.webp"} or failed == {"a.jpg", "b.png", "b.webp"}
    same = ("--output", tmp_path / "same.json", "--html", tmp_path / "same.json")
    evaluate = ("evaluate", "--restored", photos, "--reference", photos, "--metrics", "psnr")
    ended = run(tensorflow_trials, *evaluate, *same, code=2)
    assert len(ended.output.splitlines()) == 1 and not (tmp_path / "same.json").exists()


def test_odd_pictures(tensorflow_trials, model, shared, tmp_path):
    """Groups, scans, grey, transparency, EXIF, one that is cut off."""
    pictures = shared / "faces/degraded"
    if not pictures.is_dir():
        pytest.skip("no odd pictures in shared/faces/degraded")
    count = len([path for path in pictures.iterdir() if path.suffix in (".png", ".jpg")])
    ended = run(
        tensorflow_trials, "restore", pictures, "--aligned", "--model", model, "--output", tmp_path / "out", code=1
    )
    assert count == 25 and f"{count - 1} of {count} pictures restored" in ended.output
    assert "corrupt_truncated.jpg" in ended.output
    run(tensorflow_trials, "prepare", pictures, "--size", "64", "--output", tmp_path / "prepared", code=1)
    run(tensorflow_trials, "degrade", pictures, "--output", tmp_path / "degraded", code=1)


@pytest.mark.slow
def test_bombs(tensorflow_trials, model, tmp_path):
    """Pictures of a few hundred kB that are gigabytes when decoded."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "grey16.png").write_bytes(png(13_000, 13_000, 13_000))
    Image.new("1", (13_000, 13_000)).save(photos / "one.png")
    Image.new("L", (13_000, 13_000)).save(photos / "grey.jpg", quality=10)
    Image.new("1", (13_000, 13_000)).save(photos / "one.tif", compression="group4")
    Image.fromarray(np.zeros([32, 32, 3], np.uint8)).save(photos / "good.png")
    ended = tensorflow_trials.run(
        COMMAND,
        Path("/nowhere"),
        *("restore", photos, "--aligned", "--model", model, "--output", tmp_path / "out"),
    )
    assert ended.code == 1 and ended.peak < 2 << 30 and "Traceback" not in ended.output, ended
    assert (tmp_path / "out/good.png").is_file()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or os.geteuid()
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "none", folder]).returncode
    ):
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(tensorflow_trials, model, small_disk, tmp_path):
    """One line that names the reason, exit code 1, and no half files."""
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for number in range(200):
        Image.fromarray(generator.integers(0, 256, [32, 32, 3], np.uint8)).save(photos / f"{number}.png")
    (tmp_path / "toy.yaml").write_text(
        TOY.replace("steps: 1,", "steps: 60,").replace(
            "checkpoint_every: 1", "checkpoint_every: 1, keep_checkpoints: 60"
        )
    )
    for number, command in enumerate(
        (
            ["restore", photos, "--aligned", "--model", model],
            ["degrade", photos],
            ["prepare", photos, "--size", "32"],
            ["train", "--config", tmp_path / "toy.yaml"],
        )
    ):
        output = small_disk / f"out{number}"
        ended = tensorflow_trials.run(COMMAND, Path("/nowhere"), *command, "--output", output)
        said = [line for line in ended.output.splitlines() if "no space" in line.lower()]
        assert ended.code in (1, 2) and len(said) == 1 and "Traceback" not in ended.output, ended.output
        assert not hidden(small_disk)
        for path in small_disk.rglob("*.png"):
            Image.open(path).load()
        for path in small_disk.iterdir():
            shutil.rmtree(path)
