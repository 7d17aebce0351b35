"""Which files `restore` reads and writes, whatever they are called: nothing lost, one bad input stops nothing.

What the network makes of a picture does not matter here: it is one that answers with what it is given.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.inference.restore import RestoreReport, plan_restoration, restore
from rethink_fr.system import Inference
from tests.command_line import ROOT

SIDE = 8


def answer(images, control=None):
    shift = 0.0 if control is None else tf.reshape(control[:, 0, 0], [-1, 1, 1, 1])
    return {"restored": images + shift, "texture": -images}


ECHO = LoadedRestorer(Inference(None, answer, SIDE, None, None, (), has_texture=True))
NOISY = LoadedRestorer(Inference(None, answer, SIDE, None, "noise", (None, 1, 1), has_texture=True))


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, [SIDE, SIDE, 3], np.uint8))


def run(inputs, output: Path, samples: int = 1, texture: bool = False, overwrite: bool = False) -> RestoreReport:
    plan = plan_restoration(inputs, output, Path("no-model"), samples, texture, overwrite)
    return restore(ECHO if samples == 1 else NOISY, "echo", plan)


def contents(folder: Path) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos(tmp_path) -> Path:
    (tmp_path / "ph" / "sub").mkdir(parents=True)
    picture(0).save(tmp_path / "ph" / "sub" / "a.png")
    return tmp_path / "ph"


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("output", ["ph", "link", "ph/../ph", "hard"])
def test_the_originals_are_never_written_over(photos, tmp_path, capsys, output, overwrite):
    (tmp_path / "link").symlink_to("ph")
    (tmp_path / "hard" / "sub").mkdir(parents=True)
    os.link(photos / "sub" / "a.png", tmp_path / "hard" / "sub" / "a.png")
    before = contents(tmp_path)
    arguments = ["restore", str(photos), "--aligned", "--model", "no-model", "--output", str(tmp_path / output)]
    assert main([*arguments, *overwrite]) == 2
    errors = capsys.readouterr().err
    assert "would be overwritten" in errors and len(errors.splitlines()) == 1
    assert contents(tmp_path) == before


def test_a_picture_is_restored_once_for_each_noise():
    grey = np.full([SIDE, SIDE, 3], 100, np.uint8)
    noise = np.linspace(0, 0.5, 6, dtype=np.float32).reshape(6, 1, 1)  # more than are restored at a time
    made = NOISY.restore_picture(grey, noise)
    assert made["restored"].shape == made["texture"].shape == (6, SIDE, SIDE, 3)
    np.testing.assert_allclose(made["restored"][:, 0, 0, 0], 100 + 127.5 * noise.ravel(), atol=0.51)
    assert ECHO.restore_picture(grey, None)["restored"].tolist() == [grey.tolist()]


def noise_of(inputs, output: Path, seed: int = 0, samples: int = 2) -> dict:
    """The noise that the samples of each input got, by the names of their files."""
    seen = []

    def seeing(images, noise):
        seen.extend(noise[:, 0, 0].numpy().tolist())
        return {"restored": images}

    restorer = LoadedRestorer(Inference(None, seeing, SIDE, None, "noise", (None, 1, 1)))
    plan = plan_restoration(inputs, output, Path("no-model"), samples)
    report = restore(restorer, "seeing", plan, seed=seed)
    return dict(zip([name for file in report.files for name in file.outputs], seen))


def test_each_picture_has_noise_of_its_own_that_neither_place_nor_name_changes(tmp_path):
    folder, alone, mixed = tmp_path / "in", tmp_path / "alone", tmp_path / "mixed"
    for one in (folder, alone, mixed):
        one.mkdir()
    for seed, name in enumerate("abc"):
        picture(seed).save(folder / f"{name}.png")
    picture(1).save(alone / "other.bmp")
    for seed, name in ((7, "first"), (1, "second")):
        picture(seed).save(mixed / f"{name}.png")
    noise = noise_of([folder], tmp_path / "out")
    assert len(set(noise.values())) == 6  # three pictures, two samples each
    assert noise == noise_of([folder], tmp_path / "again")
    expected = [noise["b_1.png"], noise["b_2.png"]]
    assert list(noise_of([alone], tmp_path / "out2").values()) == expected
    assert list(noise_of([mixed], tmp_path / "out3").values())[2:] == expected
    assert noise_of([alone], tmp_path / "out4", samples=3)["other_2.png"] == expected[1]
    for changed in noise_of([folder], tmp_path / "out5", seed=1).values():
        assert changed not in noise.values()


def test_the_python_call_draws_by_place_as_ever():
    first, second = NOISY.draw_noise(5, 2).numpy()
    np.testing.assert_array_equal(first, tf.random.stateless_normal([1, 1], [5, 0]))
    same = NOISY(np.zeros([2, SIDE, SIDE, 3], np.float32), seed=5)
    np.testing.assert_allclose(same[:, 0, 0, 0], [first[0, 0], second[0, 0]])
    grey = np.full([SIDE, SIDE, 3], 100, np.uint8)
    drawn = NOISY.draw_noise(2**80, 20_000, of=grey).numpy().ravel()  # any integer is a seed
    assert abs(drawn.mean()) < 0.03 and abs(drawn.std() - 1) < 0.03 and len(set(drawn.tolist())) > 19_900


def test_what_another_call_made_is_kept_unless_told_otherwise(photos, tmp_path, capsys):
    out = tmp_path / "out"
    run([photos], out)
    before = contents(out)
    arguments = ["restore", str(photos), "--aligned", "--model", "no-model", "--output", str(out)]
    assert main(arguments) == 2  # before the model is looked for
    assert "is there already; choose another --output, or add --overwrite" in capsys.readouterr().err
    (out / "report.json").unlink()
    assert main(arguments) == 2
    assert "a.png: is there already" in capsys.readouterr().err
    picture(5).save(photos / "sub" / "a.png")
    assert run([photos], out, overwrite=True).failed == ()
    assert contents(out)[out / "sub/a.png"] != before[out / "sub/a.png"]


def test_a_file_of_the_model_is_an_input(photos, tmp_path):
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    (model / "sub" / "a.png").write_bytes(b"the model's")
    with pytest.raises(ValueError, match="the input .*model/sub/a.png"):
        plan_restoration([photos], model, model, overwrite=True)


@pytest.mark.parametrize(
    ("names", "options", "good"),
    [
        (["a.jpg", "a_texture.jpg"], {"texture": True}, {"a.png", "a_texture.png"}),
        (["a.png", "a_1.png"], {"samples": 2}, {"a_1.png", "a_2.png", "a_sheet.png", "a_1_1.png"}),
        (["a.jpg", "a.png"], {}, {"a.png"}),
        (["a_sheet.png", "a.png"], {"samples": 2, "texture": True}, {"a_sheet_1.png", "a_1.png"}),
        (["report.png"], {}, {"report.png"}),
    ],
)
def test_two_outputs_never_share_a_path(tmp_path, names, options, good):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate(names):
        picture(seed).save(folder / name)
    report = run([folder], tmp_path / "out", **options)
    made = [name for file in report.files for name in (*file.outputs, file.sheet, file.texture) if name]
    assert len(made) == len(set(made)) and good <= set(made)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*made, "report.json"}


def test_of_two_inputs_of_one_name_the_first_that_can_be_read_has_it(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.bmp").write_bytes(b"no picture")
    picture(1).save(folder / "a.png")
    picture(2).save(folder / "a.tif")
    report = run([folder], tmp_path / "out")
    assert [bool(file.error) for file in report.files] == [True, False, True]
    assert "a.png is written as a.png already; rename one" in report.files[2].error
    np.testing.assert_array_equal(Image.open(tmp_path / "out" / "a.png"), picture(1))


def test_a_folder_named_like_a_picture_does_not_stop_the_others(tmp_path):
    folder = tmp_path / "in"
    (folder / "a.png").mkdir(parents=True)
    picture(0).save(folder / "a.jpg")
    picture(1).save(folder / "a.png" / "x.png")
    picture(2).save(folder / "b.png")
    report = run([folder], tmp_path / "out")
    assert [bool(file.error) for file in report.files] == [False, True, False]
    assert "which is a folder here" in report.files[1].error


def test_one_bad_input_never_stops_the_rest(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(200 << 30)
    for name in ("x" * 250 + ".jpg", os.fsdecode(b"caf\xe9.png"), "new\nline.png", "..png"):
        picture(0).save(folder / "good.png")
        (folder / "good.png").rename(folder / name)
    picture(0).save(folder / "good.png")
    report = run([folder, folder / "pipe.png"], tmp_path / "out", samples=2)
    good = {file.input.rpartition("/")[2] for file in report.files if not file.error}
    assert good == {"good.png", os.fsdecode(b"caf\xe9.png"), "new\nline.png"}  # "..png" is hidden
    assert len(report.failed) == 7 and report.inputs == 10
    reasons = {file.input.rpartition("/")[2][:5]: file.error for file in report.failed}
    assert "260 bytes, expected at most 255" not in reasons["pipe."] and "named pipe" in reasons["pipe."]
    assert "expected at most 255; shorten the name" in reasons["xxxxx"]
    text = (tmp_path / "out" / "report.json").read_bytes().decode("utf-8")
    read = json.loads(text)["files"]
    assert os.fsencode(folder / os.fsdecode(b"caf\xe9.png")) in [os.fsencode(file["input"]) for file in read]
    for file in read:
        assert all((tmp_path / "out" / name).is_file() for name in file["outputs"])


def test_names_that_the_terminal_cannot_show_are_printed_as_escapes(tmp_path):
    name = os.fsdecode(b"caf\xe9 \xc3\xbc\n.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"no picture")
    done = subprocess.run(
        [sys.executable, "-m", "rethink_fr", "degrade", tmp_path / "in", "--output", tmp_path / "out"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and r"caf\udce9 \xfc\n.png" in lines[0]


def test_an_interrupt_leaves_a_report_of_what_was_done(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(3):
        picture(seed).save(folder / f"{seed}.png")
    calls = []

    def interrupted(images):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answer(images)

    restorer = LoadedRestorer(Inference(None, interrupted, SIDE, None, None))
    with pytest.raises(KeyboardInterrupt):
        restore(restorer, "echo", plan_restoration([folder], tmp_path / "out", Path("no-model")))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["inputs"] == 3 and [file["outputs"] for file in report["files"]] == [["0.png"]]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png", "report.json"}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros([1, SIDE, SIDE, 3], np.uint8), "images are uint8, expected float32 in .*/ 127.5 - 1"),
        (np.full([1, SIDE, SIDE, 3], 255.0, np.float32), "values from 255 to 255, expected -1 to 1; .*/ 127.5 - 1"),
        (np.full([1, SIDE, SIDE, 3], -1.01), "values from -1.01"),
        (np.full([1, SIDE, SIDE, 3], np.inf), "values from inf"),
        (np.full([1, SIDE, SIDE, 3], np.nan, np.float32), "not numbers"),
    ],
)
def test_the_python_call_refuses_other_ranges(images, message):
    for call in (ECHO, ECHO.restore):
        with pytest.raises(ValueError, match=message):
            call(images)


def test_the_python_call_takes_what_rounding_puts_beside_the_range():
    edge = np.full([1, SIDE, SIDE, 3], 1.0 + 1e-5, np.float32)
    assert ECHO(edge).shape == edge.shape
    assert tf.function(ECHO)(tf.constant(edge)).shape == edge.shape  # in a graph there are no values to look at


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="with a GPU TensorFlow's reasons are worth reading")
def test_without_a_gpu_tensorflow_says_nothing_of_it():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    code = "import rethink_fr; rethink_fr.load_restorer('no-such-run')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stderr.startswith("Traceback") and "no model here" in done.stderr.splitlines()[-1]
