"""`rethink-fr restore --aligned`, `export` and `load_restorer` on a tiny trained run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.inference.loading import load_restorer
from rethink_fr.training.run import train
from tests.training.helpers import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Three steps of training: enough for codebooks, and for noise to matter."""
    output = tmp_path_factory.mktemp("restore") / "run"
    train(small_config(steps=3, log_every=1, sample_every=9, validate_every=9, checkpoint_every=3), "one", output)
    return output


@pytest.fixture()
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deeper/ü.png"):
        Image.fromarray(generator.integers(0, 256, [32, 32, 3], np.uint8)).save(folder / name)
    return folder


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def restore(photos: Path, run: Path, output: Path, *more: str) -> int:
    return main(["restore", str(photos), "--aligned", "--model", str(run), "--output", str(output), *more])


def test_a_folder_is_restored_under_the_same_names_with_a_report(photos, run, tmp_path, capsys):
    assert restore(photos, run, tmp_path / "out") == 0
    assert "3 of 3 pictures restored" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [file["outputs"] for file in report["files"]] == [["a.png"], ["b.png"], ["deeper/ü.png"]]
    for file in report["files"]:
        assert read(tmp_path / "out" / file["outputs"][0]).shape == (32, 32, 3)
    assert report["resolution"] == 32 and report["seed"] == 0 and report["noise_scale"] == 1.0


def test_the_command_equals_the_python_call_to_the_byte(photos, run, tmp_path):
    assert restore(photos / "a.png", run, tmp_path / "out", "--seed", "3", "--noise-scale", "0.5") == 0
    restorer, picture = load_restorer(run), read(photos / "a.png")
    noise = restorer.draw_noise(3, 1, of=picture)
    restored = restorer(images.to_model(picture[None]), noise, noise_scale=0.5)
    np.testing.assert_array_equal(read(tmp_path / "out" / "a.png"), images.to_uint8(restored)[0].numpy())


def test_samples_differ_repeat_with_the_seed_and_come_with_a_sheet(photos, run, tmp_path):
    for name in ("one", "two"):
        assert restore(photos / "a.png", run, tmp_path / name, "--samples", "3") == 0
    first = [read(tmp_path / "one" / f"a_{number}.png") for number in (1, 2, 3)]
    again = [read(tmp_path / "two" / f"a_{number}.png") for number in (1, 2, 3)]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1]) and not np.array_equal(first[1], first[2])
    sheet = read(tmp_path / "one" / "a_sheet.png")
    assert sheet.shape[1] > 4 * 32
    assert restore(photos / "a.png", run, tmp_path / "three", "--samples", "3", "--seed", "1") == 0
    assert not np.array_equal(first[0], read(tmp_path / "three" / "a_1.png"))


def test_noise_scale_zero_is_deterministic_whatever_the_seed(photos, run, tmp_path):
    for name in ("1", "2"):
        assert restore(photos / "a.png", run, tmp_path / name, "--noise-scale", "0", "--seed", name) == 0
    np.testing.assert_array_equal(read(tmp_path / "1" / "a.png"), read(tmp_path / "2" / "a.png"))


def test_a_pictures_result_does_not_depend_on_its_neighbours(photos, run, tmp_path):
    assert restore(photos, run, tmp_path / "all") == 0
    assert restore(photos / "b.jpg", run, tmp_path / "alone") == 0
    np.testing.assert_array_equal(read(tmp_path / "all" / "b.png"), read(tmp_path / "alone" / "b.png"))


def test_unreadable_pictures_are_listed_and_the_others_restored(photos, run, tmp_path, capsys):
    (photos / "bad.png").write_bytes(b"no picture")
    assert restore(photos, run, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "3 of 4 pictures restored" in captured.out and "bad.png" in captured.err
    failed = [file for file in json.loads((tmp_path / "out/report.json").read_text())["files"] if file["error"]]
    assert len(failed) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["restore", "PHOTOS", "--model", "RUN", "--output", "PHOTOS"], "would be overwritten"),
        (["restore", "/no/such", "--aligned", "--model", "RUN", "--output", "OUT"], "/no/such: no such file"),
        (["restore", "PHOTOS", "--aligned", "--model", "PHOTOS", "--output", "OUT"], "no model here"),
        (["restore", "PHOTOS", "--aligned", "--model", "RUN", "--output", "PHOTOS"], "would be overwritten"),
        (
            ["restore", "PHOTOS", "--aligned", "--model", "RUN", "--output", "OUT", "--noise-scale", "2"],
            "--noise-scale",
        ),
        (["restore", "PHOTOS", "--aligned", "--model", "RUN", "--output", "OUT", "--samples", "0"], "--samples"),
        (["export", "--model", "PHOTOS", "--format", "saved_model", "--output", "OUT"], "no run here"),
        (["export", "--model", "RUN", "--format", "saved_model", "--output", "PHOTOS"], "exists already"),
        (["export", "--model", "RUN", "--format", "saved_model", "--output", "RUN", "--overwrite"], "holds the input"),
        (
            ["export", "--model", "RUN", "--format", "saved_model", "--output", "PHOTOS", "--overwrite"],
            "a.png, which this command does not make",
        ),
        (["degrade", "/no/such", "--output", "OUT"], "/no/such"),
        (["degrade", "PHOTOS", "--output", "OUT", "--set", "nois=[1,2]"], "degradation.nois: no such key"),
        (["prepare", "/no/such", "--output", "OUT"], "/no/such"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_lost(photos, run, tmp_path, capsys, arguments, message):
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    places = {"PHOTOS": str(photos), "RUN": str(run), "OUT": str(tmp_path / "out")}
    assert main([places.get(part, part) for part in arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors and "Traceback" not in errors and len(errors.strip().splitlines()) == 1
    assert before == {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}


def test_the_exported_model_runs_without_this_package(photos, run, tmp_path):
    """A Python that cannot import rethink_fr gets the same bytes from the SavedModel."""
    exported = tmp_path / "exported"
    assert main(["export", "--model", str(run), "--format", "saved_model", "--output", str(exported)]) == 0
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "sys.modules['rethink_fr'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "assert sorted(model.signatures) == ['restore', 'restore_bytes', 'samples', 'serving_default']\n"
        "pictures = np.load(sys.argv[2])\n"
        "restored = model.signatures['serving_default'](images=tf.constant(pictures))['restored']\n"
        "assert restored.dtype == tf.uint8\n"
        "np.save(sys.argv[3], restored.numpy())\n"
    )
    picture = read(photos / "a.png")
    np.save(tmp_path / "in.npy", np.stack([picture, picture[::-1]]))
    arguments = [str(script), str(exported), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    restored = load_restorer(run)(images.to_model(np.load(tmp_path / "in.npy")), noise_scale=0.0)
    difference = np.abs(np.load(tmp_path / "out.npy").astype(int) - images.to_uint8(restored).numpy().astype(int))
    assert difference.max() <= 1  # a value that float arithmetic puts on the other side of a half


def test_a_saved_model_restores_like_its_run_noise_included(photos, run, tmp_path):
    exported = tmp_path / "exported"
    assert main(["export", "--model", str(run), "--format", "saved_model", "--output", str(exported)]) == 0
    before = (exported / "saved_model.pb").stat().st_ino
    again = ["export", "--model", str(run), "--format", "saved_model", "--output", str(exported)]
    assert main(again) == 2 and (exported / "saved_model.pb").stat().st_ino == before
    assert main([*again, "--overwrite"]) == 0 and (exported / "saved_model.pb").stat().st_ino != before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    one, other = load_restorer(run), load_restorer(exported)
    assert (one.resolution, one.noise_shape) == (other.resolution, other.noise_shape)
    batch = images.to_model(read(photos / "a.png")[None])
    # 1e-5: float32, operations fused differently.
    np.testing.assert_allclose(one(batch, seed=5), other(batch, seed=5), atol=1e-5)


def test_the_averaged_weights_are_the_ones_that_restore(run):
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    name = "/to_rgb/bias/.ATTRIBUTES/VARIABLE_VALUE"
    average, trained = reader.get_tensor(f"average{name}"), reader.get_tensor(f"restorer{name}")
    assert not np.allclose(average, trained)
    restorer = load_restorer(run)
    np.testing.assert_array_equal(restorer._source.to_rgb.bias.numpy(), average)


def test_a_run_goes_by_its_name_too(run, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "faces").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    assert load_restorer("faces").resolution == 32
    with pytest.raises(ValueError, match="no model here"):
        load_restorer("other")


def test_a_run_without_a_checkpoint_is_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copy(run / "config.yaml", tmp_path / "empty")
    with pytest.raises(ValueError, match="no checkpoint here"):
        load_restorer(tmp_path / "empty")


def test_degrade_and_prepare_work_from_the_command_line(photos, tmp_path, capsys):
    assert main(["degrade", str(photos), "--output", str(tmp_path / "degraded"), "--seed", "1"]) == 0
    assert "3 pictures written" in capsys.readouterr().out
    assert main(["degrade", str(photos), "--output", str(tmp_path / "x8"), "--scale", "8"]) == 0
    assert read(tmp_path / "x8" / "a.png").shape == (32, 32, 3)
    assert main(["prepare", str(photos), "--output", str(tmp_path / "records"), "--size", "32"]) == 0
    assert "3 images in 1 shards" in capsys.readouterr().out


def test_info_names_versions_and_counts_networks(capsys):
    assert main(["info", "--config", "smoke_64"]) == 0
    output = capsys.readouterr().out
    for part in ("tensorflow", "devices", "restorer", "discriminator", "trained parameters", "multiply-accumulates"):
        assert part in output
