"""Networks from files and from the cache; what to do where there are none."""

import hashlib

import numpy as np
import pytest

from rethink_fr.features import arcface, lpips_backbones
from rethink_fr.features.torch_network import expected_shapes
from rethink_fr.known_weights import KNOWN_WEIGHTS, KnownWeights, WeightFile
from rethink_fr.workflows import feature_networks
from rethink_fr.workflows.feature_networks import (
    MissingWeights,
    load_arcface,
    load_awing,
    load_facenet,
    load_inception,
    load_lpips,
    load_onnx_embedder,
    load_onnx_landmarks,
)
from tests.features.filled import filled, pictures
from tests.features.test_lpips_backbones import heads


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache/weights").mkdir(parents=True)
    return tmp_path / "cache/weights"


@pytest.fixture(scope="module")
def state() -> dict:
    return filled(expected_shapes(arcface.forward, [128, 128, 1]))


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (load_inception, "inception"),
        (load_facenet, "facenet"),
        (load_arcface, "arcface"),
        (load_awing, "awing"),
        (lambda: load_lpips("vgg"), "lpips-vgg"),
        (lambda: load_lpips("alex"), "lpips-alex"),
    ],
)
def test_without_weights_it_is_said_what_to_do(load, name):
    with pytest.raises(
        MissingWeights, match=f"run `rethink-fr weights fetch {name}`, or give their file: --{name} FILE"
    ):
        load()


@pytest.mark.parametrize("load", [load_inception, load_awing, load_onnx_embedder, load_onnx_landmarks])
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
    first, second = (load_arcface(tmp_path / f"arcface.{end}") for end in ("pth", "npz"))
    np.testing.assert_array_equal(first(images), second(images))
    assert first.sha256 == hashlib.sha256((tmp_path / "arcface.pth").read_bytes()).hexdigest() != second.sha256


def test_weights_may_lie_in_a_section_and_other_files_are_named(state, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    tensors = {name: torch.from_numpy(value) for name, value in state.items() if name != "fc5.bias"}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth: not the weights of this network: 1 missing, the first is fc5\.bias"):
        load_arcface(tmp_path / "a.pth")
    torch.save({"epoch": 3}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"b\.pth: expected the weights under 'state_dict' or .* or by name, found"):
        load_arcface(tmp_path / "b.pth")
    (tmp_path / "c.npz").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"c\.npz: not an \.npz of arrays"):
        load_arcface(tmp_path / "c.npz")
    (tmp_path / "d.pth").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"d\.pth: refused") as error:
        load_arcface(tmp_path / "d.pth")
    assert not isinstance(error.value, MissingWeights)


def test_the_cache_is_used_and_checked(state, cache, monkeypatch):
    """With a table whose file is ours."""
    np.savez(cache / "small.npz", **state)
    sha256 = hashlib.sha256((cache / "small.npz").read_bytes()).hexdigest()

    def known(expected):
        table = {**KNOWN_WEIGHTS, "arcface": KnownWeights((WeightFile("small.npz", "", expected, 1.0),), "", "")}
        monkeypatch.setattr(feature_networks, "KNOWN_WEIGHTS", table)

    for expected in (sha256, None):
        known(expected)
        assert load_arcface().sha256 == sha256
    known("0" * 64)
    with pytest.raises(ValueError, match=rf"small\.npz: damaged, its SHA-256 is {sha256}, not 0"):
        load_arcface()


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
        with pytest.raises(ValueError, match=rf"{name}: damaged"):
            load_lpips("alex", tmp_path / "alexnet.npz")
        return
    network = load_lpips("alex", tmp_path / "alexnet.npz", place if where == "given" else None)
    assert network.name == "LPIPS v0.1 (AlexNet)" and len(network.sha256) == 64
    np.testing.assert_allclose(network.heads[1], np.full(192, 1 / 192))
    assert len(network(np.zeros((1, 64, 64, 3), np.float32))) == 5


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="backbone 'resnet'; expected vgg, alex or squeeze"):
        load_lpips("resnet")


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
