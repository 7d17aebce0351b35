"""Networks from files and from the cache; what to do where there are none."""

import hashlib
from functools import partial

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.evaluation.networks import arcface, lpips_backbones
from rethink_fr.evaluation.networks import loading as feature_networks
from rethink_fr.evaluation.networks.loading import (
    MissingWeights,
    load_onnx_embedder,
    load_onnx_landmarks,
    load_published,
)
from rethink_fr.pictures.files import write_image
from rethink_fr.weights.known import KNOWN_WEIGHTS, KnownWeights, WeightFile
from rethink_fr.weights.published_network import expected_shapes
from tests.evaluation.networks.test_lpips_backbones import heads
from tests.weights.filled import filled, pictures


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache/weights").mkdir(parents=True)
    return tmp_path / "cache/weights"


@pytest.fixture(scope="module")
def state() -> dict:
    return filled(expected_shapes(arcface.forward, [128, 128, 1]))


@pytest.mark.parametrize("name", ["inception", "facenet", "arcface", "awing", "lpips-vgg", "lpips-alex"])
def test_without_weights_it_is_said_what_to_do(name):
    with pytest.raises(
        MissingWeights, match=f"run `rethink-fr weights fetch {name}`, or give their file: --{name} FILE"
    ):
        load_published(name)


@pytest.mark.parametrize(
    "load",
    [partial(load_published, "inception"), partial(load_published, "awing"), load_onnx_embedder, load_onnx_landmarks],
)
def test_a_file_that_is_not_there_is_named(load, tmp_path):
    with pytest.raises(MissingWeights, match=r"none\.pth: no such file"):
        load(tmp_path / "none.pth")


def test_published_form_and_arrays_give_the_same_network(state, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    published = {f"module.{name}": torch.from_numpy(value) for name, value in state.items()}
    published["module.bn1.num_batches_tracked"] = torch.tensor(5)
    torch.save(published, tmp_path / "arcface.pth")
    np.savez(tmp_path / "arcface.npz", **state)
    images = pictures(2, 128, 128)
    first, second = (load_published("arcface", tmp_path / f"arcface.{end}") for end in ("pth", "npz"))
    np.testing.assert_array_equal(first(images), second(images))
    assert first.sha256 == hashlib.sha256((tmp_path / "arcface.pth").read_bytes()).hexdigest() != second.sha256


def test_weights_may_lie_in_a_section_and_other_files_are_named(state, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    tensors = {name: torch.from_numpy(value) for name, value in state.items() if name != "fc5.bias"}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth: not the weights of this network: 1 missing, the first is fc5\.bias"):
        load_published("arcface", tmp_path / "a.pth")
    torch.save({"epoch": 3}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"b\.pth: expected the weights under 'state_dict' or .* or by name, found"):
        load_published("arcface", tmp_path / "b.pth")
    (tmp_path / "c.npz").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"c\.npz: not an \.npz of arrays"):
        load_published("arcface", tmp_path / "c.npz")
    (tmp_path / "d.pth").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"d\.pth: refused") as error:
        load_published("arcface", tmp_path / "d.pth")
    assert not isinstance(error.value, MissingWeights)


@pytest.fixture
def published(state, cache, monkeypatch):
    """A function that puts a small file into the cache and into the table, with the checksum that it is given."""

    def known(sha256):
        table = {**KNOWN_WEIGHTS, "arcface": KnownWeights((WeightFile("small.npz", "", sha256, 1.0),), "", "")}
        monkeypatch.setattr(feature_networks, "KNOWN_WEIGHTS", table)
        return cache / "small.npz"

    np.savez(cache / "small.npz", **state)
    return known


def sha256_of(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_the_cache_holds_is_checked_before_it_is_loaded(published):
    path = published(None)
    sha256 = sha256_of(path)
    for expected in (sha256, None):
        published(expected)
        assert load_published("arcface").sha256 == sha256
    published("0" * 64)
    for given in (None, path):  # also if it is named
        with pytest.raises(ValueError) as caught:
            load_published("arcface", given)
        expected = f"{path}: has the SHA-256 {sha256}, expected {'0' * 64}: it is damaged, or another file; "
        assert str(caught.value) == f"{expected}`rethink-fr weights fetch arcface` replaces it"


def test_a_file_whose_checksum_was_noted_is_checked_by_the_note(published):
    path = published(None)
    (path.parent / "small.npz.sha256").write_text(f"{sha256_of(path)}\n")
    assert load_published("arcface").sha256 == sha256_of(path)
    for note in ("0" * 64, "", "damaged"):
        (path.parent / "small.npz.sha256").write_text(note)
        with pytest.raises(ValueError, match=r"small\.npz: has the SHA-256 .* `rethink-fr weights fetch arcface`"):
            load_published("arcface")


def test_a_change_after_the_first_use_is_seen(published, state):
    path = published(None)
    published(sha256_of(path))
    load_published("arcface")
    np.savez(path, **{**state, "fc5.bias": state["fc5.bias"] + 1})
    with pytest.raises(ValueError, match="has the SHA-256"):
        load_published("arcface")


def test_a_given_file_is_used_as_it_is_but_not_silently_under_a_published_name(published, state, tmp_path, capsys):
    published("0" * 64)
    for name in ("small.npz", "mine.npz"):
        np.savez(tmp_path / name, **state)
        for _ in range(2):
            assert load_published("arcface", tmp_path / name).sha256 == sha256_of(tmp_path / name)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"rethink-fr: {tmp_path / 'small.npz'} has the name of the published weights of arcface, but"
    )
    assert line.endswith("used as it was given")


def test_evaluate_stops_at_a_damaged_file(cache, tmp_path, monkeypatch, capsys):
    """Through the command line: one line, nothing loaded."""
    name = KNOWN_WEIGHTS["inception"].files[0].name
    (cache / name).write_bytes(b"not what was published")
    for folder in ("restored", "clean"):
        for number in range(2):
            write_image(tmp_path / folder / f"{number}.png", pictures(1, 32, 32, number)[0])
    folders = ["--restored", str(tmp_path / "restored"), "--reference", str(tmp_path / "clean")]
    assert main(["evaluate", *folders, "--metrics", "fid_paired", "--output", str(tmp_path / "report.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name}: has the SHA-256" in line and "`rethink-fr weights fetch inception` replaces it" in line


@pytest.mark.parametrize("where", ["given", "beside", "cache"])
def test_lpips_finds_its_heads(tmp_path, cache, where):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    state = filled(expected_shapes(lpips_backbones.alexnet, (None, None, 3)))
    own = {name: value.astype(np.float32) for name, value in heads("alex").items()}
    name = KNOWN_WEIGHTS["lpips-alex"].files[1].name
    np.savez(tmp_path / "alexnet.npz", **state)
    place = {"given": tmp_path / "mine.pth", "beside": tmp_path / name, "cache": cache / name}[where]
    torch.save({key: torch.from_numpy(value) for key, value in own.items()}, place)
    if where == "cache":
        # Ours is not the published file, and what the cache holds is checked.
        with pytest.raises(ValueError, match=rf"{name}: has the SHA-256 .* fetch lpips-alex"):
            load_published("lpips-alex", tmp_path / "alexnet.npz")
        return
    network = load_published("lpips-alex", tmp_path / "alexnet.npz", place if where == "given" else None)
    assert network.name == "LPIPS v0.1 (AlexNet)" and len(network.sha256) == 64
    np.testing.assert_allclose(network.heads[1], np.full(192, 1 / 192))
    assert len(network(np.zeros((1, 64, 64, 3), np.float32))) == 5


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="network 'lpips-resnet'; expected .*, lpips-vgg, lpips-alex, lpips-squ"):
        load_published("lpips-resnet")


def test_real_onnx_files(shared):
    pytest.importorskip("onnxruntime", reason="onnxruntime, the extra 'onnx', is not installed")
    path = shared / "weights/PFLD_GhostOne_112_1_opt_sim.onnx"
    images = pictures(2, 64, 64)
    landmarks, embedder = load_onnx_landmarks(path), load_onnx_embedder(path)
    assert landmarks.name == embedder.name == "PFLD_GhostOne_112_1_opt_sim.onnx"
    assert landmarks.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_allclose(landmarks(images), embedder(images).reshape(2, 98, 2) * 64, rtol=1e-5)
    in_pixels = load_onnx_landmarks(path, unit="pixel")(images)
    np.testing.assert_allclose(in_pixels * 112, landmarks(images), rtol=1e-4)
