"""The networks of LPIPS against values of the `lpips` package (filled backbones, LPIPS' own heads)."""

import zlib

import numpy as np
import pytest

from rethink_fr.evaluation.networks.lpips_backbones import BACKBONES, LpipsNetwork
from rethink_fr.metrics import lpips
from rethink_fr.weights.published_network import expected_shapes
from rethink_fr.weights.state_dicts import TorchStateError
from tests.weights.filled import filled

TORCHVISION = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}


def shapes(backbone: str) -> dict:
    return expected_shapes(BACKBONES[backbone].forward, (None, None, 3))


def heads(backbone: str) -> dict:
    return {
        f"lin{number}.model.1.weight": np.full((1, count, 1, 1), 1 / count)
        for number, count in enumerate(BACKBONES[backbone].channels)
    }


def golden_value(name: str, shape: tuple) -> np.ndarray:
    """The rule of the stored values."""
    generator = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.05
    return (generator.standard_normal(shape) * scale).astype(np.float32)


@pytest.fixture(scope="module", params=list(BACKBONES))
def case(request, shared):
    """Stored values, pictures, and the network they were computed with."""
    golden = np.load(shared / "golden/metrics/lpips_vgg.npz")
    backbone, prefix = request.param, TORCHVISION[request.param]
    ours = shapes(backbone)
    assert [f"{prefix}/{name}" for name in ours] == list(golden[f"{backbone}/param_names"])
    state = {name: golden_value(f"{prefix}/{name}", shape) for name, shape in ours.items()}
    sums = [value.sum(dtype=np.float64) for value in state.values()]
    np.testing.assert_allclose(sums, golden[f"{backbone}/param_sums"], rtol=1e-6, atol=1e-4)
    stored = {f"lin{n}.model.1.weight": golden[f"{backbone}/lin{n}"] for n in range(len(BACKBONES[backbone].channels))}
    pictures = np.load(shared / "golden/metrics/psnr_ssim.npz")
    return backbone, golden, pictures, LpipsNetwork(backbone, state, stored, "00ff")


@pytest.mark.parametrize("pair", ["face_noise", "face_blur", "face_jpeg_71x97", "identical"])
def test_stored_values(case, pair):
    backbone, golden, pictures, network = case
    restored, clean = (pictures[f"{pair}/{name}"][None] / 127.5 - 1.0 for name in ("restored", "gt"))
    np.testing.assert_allclose(lpips(restored, clean, network), golden[f"{backbone}/{pair}/lpips"], rtol=1e-4)


def test_maps_are_those_that_lpips_compares(case):
    backbone, golden, pictures, network = case
    image = pictures["face_noise/gt"][None] / 127.5 - 1.0
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    maps = network(((image - shift) / scale).astype(np.float32))
    assert [tuple(values.shape[axis] for axis in (3, 1, 2)) for values in maps] == [
        tuple(shape) for shape in golden[f"{backbone}/feat_shapes"]
    ]
    np.testing.assert_allclose(
        [np.abs(values).mean() for values in maps], golden[f"{backbone}/feat_absmean"], rtol=1e-4
    )


def test_stored_value_of_vqfrs_loss(shared):
    """Rule-made VGG-16 and heads under VQFR's names; the mean over two pairs."""
    golden = np.load(shared / "golden/vqfr/golden_lpips.npz")

    def normal(name: str, shape: tuple) -> np.ndarray:
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        draws = generator.standard_normal(shape, dtype=np.float32)
        return draws / np.float32(np.sqrt(np.prod(shape[1:]))) if len(shape) > 1 else draws * np.float32(0.05)

    state = {}
    for name, shape in shapes("vgg").items():
        position = int(name.split(".")[1])
        section = 1 + sum(position >= start for start in (4, 9, 16, 23))
        draws = normal(name.replace("features", f"net.slice{section}"), shape)
        state[name] = draws * np.float32(np.sqrt(2)) if len(shape) > 1 else draws
    made = {name: np.abs(normal(name, value.shape)) for name, value in heads("vgg").items()}
    first, second = (golden[name].transpose(0, 2, 3, 1) for name in "xy")
    distance = lpips(first, second, LpipsNetwork("vgg", state, made, ""))
    np.testing.assert_allclose(distance.mean(), golden["perceptual"], atol=1e-6)


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_the_classifier_of_the_published_file_is_not_looked_at(backbone):
    state = {**filled(shapes(backbone)), "classifier.6.weight": np.zeros((1000, 4096), np.float32)}
    network = LpipsNetwork(backbone, state, heads(backbone), "00ff")
    assert network.name.startswith("LPIPS v0.1 (") and network.sha256 == "00ff"
    maps = network(np.zeros((2, 64, 48, 3), np.float32))
    assert [values.shape[3] for values in maps] == [len(head) for head in network.heads]
    assert all(values.min() >= 0 for values in maps)


def test_other_weights_are_refused():
    state = filled(shapes("alex"))
    with pytest.raises(
        TorchStateError, match=r"22 missing.*the first is features\.0\.weight \[64, 3, 11, 11\] instead of"
    ):
        LpipsNetwork("vgg", state, heads("vgg"), "")
    with pytest.raises(TorchStateError, match=r"2 unexpected, the first is lin5\.model\.1\.weight"):
        LpipsNetwork("alex", state, heads("squeeze"), "")
    with pytest.raises(TorchStateError, match=r"lin1\.model\.1\.weight \[128\] instead of \[192\]"):
        LpipsNetwork("alex", state, heads("vgg"), "")
