"""Inception V3 of the FID against PyTorch's layers."""

import numpy as np
import pytest

from rethink_fr.evaluation.networks import inception
from rethink_fr.evaluation.networks.inception import InceptionV3
from rethink_fr.weights.published_network import expected_shapes, load_network
from rethink_fr.weights.state_dicts import TorchStateError
from tests.weights.filled import filled, pictures


@pytest.fixture(scope="module")
def shapes() -> dict:
    return expected_shapes(inception.forward, [299, 299, 3])


def test_it_has_the_weights_of_the_published_file(shapes):
    # 94 convolutions with batch normalisation; the published file holds 566 entries: with 94 counters and 2 of `fc`.
    assert len(shapes) == 5 * 94 and len(shapes) + 94 + 2 == 566
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_6e.branch7x7dbl_3.conv.weight"] == (192, 192, 1, 7)
    assert shapes["Mixed_7c.branch3x3dbl_3b.bn.running_var"] == (384,)


def test_it_computes_what_torch_computes():
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    from tests.features import torch_twins

    torch.manual_seed(0)
    twin = torch_twins.Inception()
    state = torch_twins.fill(twin)  # with `fc`: 472 entries
    assert len(state) == 472
    images = np.random.default_rng(0).uniform(-1, 1, (2, 107, 91, 3)).astype(np.float32)
    (expected,) = torch_twins.run(twin, images)
    ours = load_network(inception.forward, (107, 91, 3), state, ("fc.",))(images).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(ours, expected, atol=1e-5)  # measured 1e-6


def test_features_of_pictures(shapes):
    network = InceptionV3({**filled(shapes), "fc.weight": np.zeros((1008, 2048))}, "00ff")
    images = pictures(2, 64, 48)
    features = network(images)
    assert features.shape == (2, 2048) and features.dtype == np.float32 and features.min() >= 0.0
    assert network.name == "Inception V3 (FID)" and network.sha256 == "00ff"
    np.testing.assert_allclose(network(images[1:]), features[1:], atol=1e-5)  # a picture is by itself
    # Black and white are the ends of the range that the network is given.
    flat = [network(np.full((1, 9, 9, 3), level, np.uint8)) for level in (0, 255)]
    direct = [network._network(np.full((1, 299, 299, 3), value, np.float32)).numpy() for value in (-1.0, 1.0)]
    np.testing.assert_allclose(flat, direct, atol=1e-5)
    assert network(images[:0]).shape == (0, 2048)


def test_other_weights_are_refused(shapes):
    state = filled({name: shape for name, shape in shapes.items() if "Mixed_7c" not in name})
    with pytest.raises(TorchStateError, match=r"45 missing, the first is Mixed_7c\.branch1x1\.conv\.weight"):
        InceptionV3(state, "")
