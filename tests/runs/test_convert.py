"""`convert-vqfr` and what becomes of its run: restore, export, load_restorer, info."""

import json
import pickle
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
from rethink_fr.vqfr import system as kind
from rethink_fr.vqfr.published_weights import official_weights
from rethink_fr.vqfr.system import VQFRSettings, recognise
from tests.vqfr.golden import rule_state, rule_value

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")

SIDE = 32


def settings(network: str, version: int) -> VQFRSettings:
    return VQFRSettings(network, version, SIDE, 1 / 8, 2, 20)


def small_state(network: str, version: int) -> dict:
    weights = official_weights(kind.build(settings(network, version)))
    return {name: torch.from_numpy(rule_value(name, weight.shape)) for name, weight in weights.items()}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch) -> None:
    """The version is recognised as ever, the network is small."""

    def small(state):
        found = recognise(state)
        return settings(found.network, found.version)

    monkeypatch.setattr(kind, "recognise", small)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict:
    """A converted run of each version, one with `params_ema`, one with the prefix that training on GPUs leaves."""
    folder = tmp_path_factory.mktemp("convert")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "recognise", lambda state: settings("vqfr", recognise(state).version))
        for version, section, prefix in ((1, "params", "module."), (2, "params_ema", "")):
            state = {prefix + name: tensor for name, tensor in small_state("vqfr", version).items()}
            torch.save({section: state, "iter": 3}, folder / f"{version}.pth")
            made[version] = folder / f"run{version}"
            assert main(["convert-vqfr", str(folder / f"{version}.pth"), "--output", str(made[version])]) == 0
    return made


@pytest.fixture()
def photo(tmp_path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, [SIDE, SIDE, 3], np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def restore(photo: Path, run: Path, output: Path, *more: str) -> int:
    return main(["restore", str(photo), "--aligned", "--model", str(run), "--output", str(output), *more])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v1", ("vqfr", 1)),
        ("v2", ("vqfr", 2)),
        ("vqgan_v1", ("vqgan", 1)),
        ("vqgan_v2", ("vqgan", 2)),
    ],
)
def test_version_and_stage_are_recognised_by_the_names(shared, name, expected):
    state = dict(json.loads((shared / f"golden/vqfr/state_dict_{name}.json").read_text()))
    found = recognise(state)
    assert (found.network, found.version) == expected
    assert found == VQFRSettings(*expected)


@pytest.mark.parametrize("version", [1, 2])
def test_the_command_restores_what_python_restores(runs, photo, tmp_path, version):
    more = ["--fidelity", "0.3"] if version == 2 else []
    assert restore(photo, runs[version], tmp_path / "out", "--texture", *more) == 0
    restorer = load_restorer(runs[version])
    assert (restorer.resolution, restorer.noise_shape) == (SIDE, None)
    degraded = images.to_model(read(photo)[None])
    fidelity = 0.3 if version == 2 else None
    restored = images.to_uint8(restorer(degraded, fidelity=fidelity))[0].numpy()
    np.testing.assert_array_equal(read(tmp_path / "out" / "a.png"), restored)
    texture = images.to_uint8(restorer.restore(degraded)["texture"])[0].numpy()
    np.testing.assert_array_equal(read(tmp_path / "out" / "a_texture.png"), texture)
    assert not np.array_equal(restored, texture)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["fidelity"] == fidelity and report["files"][0]["texture"] == "a_texture.png"


def test_fidelity_goes_from_the_texture_to_the_default(runs, photo, tmp_path):
    for name, more in {"0": ("--fidelity", "0", "--texture"), "1": ("--fidelity", "1"), "default": ()}.items():
        assert restore(photo, runs[2], tmp_path / name, *more) == 0
    np.testing.assert_array_equal(read(tmp_path / "0" / "a.png"), read(tmp_path / "0" / "a_texture.png"))
    np.testing.assert_array_equal(read(tmp_path / "1" / "a.png"), read(tmp_path / "default" / "a.png"))
    assert not np.array_equal(read(tmp_path / "0" / "a.png"), read(tmp_path / "1" / "a.png"))


def test_version_1_restores_other_sizes_from_python(runs):
    restorer = load_restorer(runs[1])
    assert restorer(tf.zeros([1, 48, 64, 3])).shape == [1, 48, 64, 3]
    with pytest.raises(ValueError, match="multiples of 2"):
        restorer(tf.zeros([1, 47, 64, 3]))


def test_bfloat16_is_near_float32(runs, photo, tmp_path):
    assert restore(photo, runs[1], tmp_path / "half", "--precision", "bfloat16", "--force-precision") == 0
    assert restore(photo, runs[1], tmp_path / "full") == 0
    difference = read(tmp_path / "half" / "a.png").astype(float) - read(tmp_path / "full" / "a.png")
    assert 0 < np.mean(np.abs(difference)) < 10


@pytest.mark.parametrize("version", [1, 2])
def test_the_exported_model_runs_without_this_package(runs, photo, tmp_path, version):
    exported = tmp_path / "exported"
    assert main(["export", "--model", str(runs[version]), "--format", "saved_model", "--output", str(exported)]) == 0
    code = (
        "import sys; sys.modules['rethink_fr'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        "outputs = tf.saved_model.load(sys.argv[1]).signatures['serving_default'](images=np.load(sys.argv[2]))\n"
        "np.savez(sys.argv[3], **{name: value.numpy() for name, value in outputs.items()})\n"
    )
    np.save(tmp_path / "in.npy", read(photo)[None])
    arguments = [str(exported), str(tmp_path / "in.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=tmp_path)
    outputs = np.load(tmp_path / "out.npz")
    assert restore(photo, exported, tmp_path / "out", "--texture") == 0
    for name, file in (("restored", "a.png"), ("texture", "a_texture.png")):
        difference = outputs[name][0].astype(int) - read(tmp_path / "out" / file)
        assert np.max(np.abs(difference)) <= 1
    restorer, original = load_restorer(exported), load_restorer(runs[version])
    assert restorer.takes_fidelity == original.takes_fidelity == (version == 2)
    degraded = images.to_model(read(photo)[None])
    options = {"fidelity": 0.25} if version == 2 else {}
    np.testing.assert_allclose(restorer(degraded, **options), original(degraded, **options), atol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_an_autoencoder_becomes_a_run_too(photo, tmp_path, version):
    torch.save({"params": small_state("vqgan", version)}, tmp_path / "vqgan.pth")
    run = tmp_path / "run"
    assert main(["convert-vqfr", str(tmp_path / "vqgan.pth"), "--output", str(run)]) == 0
    assert restore(photo, run, tmp_path / "out") == 0


def test_info_counts_a_converted_network(runs, capsys):
    assert main(["info", "--config", str(runs[2] / "config.yaml")]) == 0
    output = capsys.readouterr().out
    assert "vqfr 2" in output and "multiply-accumulates" in output


@pytest.mark.parametrize(
    ("version", "more", "message"),
    [
        (1, ("--samples", "2"), "one deterministic answer"),
        (1, ("--fidelity", "0.5"), "only VQFR version 2"),
        (2, ("--fidelity", "1.5"), "--fidelity: expected 0 to 1"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(runs, photo, tmp_path, capsys, version, more, message):
    assert restore(photo, runs[version], tmp_path / "out", *more) == 2
    errors = capsys.readouterr().err
    assert message in errors and len(errors.strip().splitlines()) == 1


class Malicious:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def truncated(path: Path) -> None:
    torch.save({"params": small_state("vqgan", 2)}, path)
    path.write_bytes(path.read_bytes()[:-3000])


def wrong_shape(path: Path) -> None:
    state = small_state("vqgan", 2)
    state["encoder.conv_in.bias"] = torch.zeros(3)
    torch.save({"params": state}, path)


def incomplete(path: Path) -> None:
    state = small_state("vqgan", 2)
    del state["decoder.conv_in.bias"]
    state["decoder.other"] = torch.zeros(1)
    torch.save({"params": state}, path)


def not_finite(path: Path) -> None:
    state = small_state("vqgan", 2)
    state["encoder.conv_in.bias"][0] = float("nan")
    torch.save({"params": state}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"no checkpoint at all"), "refused"),
        (lambda path: path.write_bytes(b""), "refused"),
        (truncated, "refused"),
        (lambda path: path.write_bytes(pickle.dumps(Malicious(path.with_name("harm")))), "refused"),
        (lambda path: torch.save({"params": Malicious(path.with_name("harm"))}, path), "refused"),
        (lambda path: torch.save(torch.zeros(3), path), "expected the weights under 'params_ema' or 'params'"),
        (lambda path: torch.save({"state_dict": {}}, path), "found a dictionary with 'state_dict'"),
        (lambda path: torch.save({"params": {}}, path), "no weights by name"),
        (lambda path: torch.save({"params": {"a": 3}}, path), "'a' is not a tensor"),
        (lambda path: torch.save({"params": {"conv.weight": torch.zeros(3)}}, path), "the first of 1 entries is conv"),
        (wrong_shape, "1 misshapen, the first is encoder.conv_in.bias [3] instead of [32]"),
        (incomplete, "1 missing, the first is decoder.conv_in.bias; 1 unexpected, the first is decoder.other"),
        (not_finite, "encoder.conv_in.bias holds values that are not finite"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, capsys, write, message):
    write(tmp_path / "bad.pth")
    assert main(["convert-vqfr", str(tmp_path / "bad.pth"), "--output", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    assert message in errors and "bad.pth" in errors and len(errors.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth"]


def test_a_directory_in_use_and_a_missing_file_are_named(runs, tmp_path, capsys):
    (tmp_path / "x.pth").touch()
    assert main(["convert-vqfr", str(tmp_path / "x.pth"), "--output", str(runs[1])]) == 2
    assert "is not empty" in capsys.readouterr().err
    trained = tmp_path / "trained"
    shutil.copytree(runs[1], trained)
    (trained / "metrics.jsonl").touch()
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert main(["convert-vqfr", str(tmp_path / "x.pth"), "--output", str(trained), "--overwrite"]) == 2
    assert "metrics.jsonl, which this command does not make" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert main(["convert-vqfr", str(tmp_path / "no.pth"), "--output", str(tmp_path / "run")]) == 2
    assert "no.pth: no such file" in capsys.readouterr().err


def test_a_converted_network_is_replaced_when_told_to(runs, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(runs[1], copy)
    before = (copy / "config.yaml").read_text()
    checkpoint = runs[2].parent / "2.pth"
    assert main(["convert-vqfr", str(checkpoint), "--output", str(copy), "--overwrite"]) == 0
    assert (copy / "config.yaml").read_text() != before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_without_pytorch_the_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pth").touch()
    assert main(["convert-vqfr", str(tmp_path / "x.pth"), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert 'pip install ".[convert]"' in error and 'pip install "rethink-fr[convert]"' in error


@pytest.mark.slow
def test_the_published_size_restores_the_shipped_faces(shared, tmp_path, monkeypatch):
    """Weights by rule, version 2: the command and the Python call agree to the byte on every picture."""
    monkeypatch.setattr(kind, "recognise", recognise)
    state = rule_state(shared / "golden/vqfr/state_dict_v2.json")
    torch.save({"params_ema": {name: torch.from_numpy(value) for name, value in state.items()}}, tmp_path / "v2.pth")
    assert main(["convert-vqfr", str(tmp_path / "v2.pth"), "--output", str(tmp_path / "run")]) == 0
    faces = sorted((shared / "golden/vqfr/data").glob("*.png"))
    assert restore(shared / "golden/vqfr/data", tmp_path / "run", tmp_path / "out", "--fidelity", "0.5") == 0
    restorer = load_restorer(tmp_path / "run")
    for face in faces:
        restored = restorer(images.to_model(read(face)[None]), fidelity=0.5)
        np.testing.assert_array_equal(read(tmp_path / "out" / face.name), images.to_uint8(restored)[0].numpy())
