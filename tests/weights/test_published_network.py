"""Loading is strict; layers do what PyTorch's do (the networks' own tests compare them in place)."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.weights.published_network import (
    Layers,
    expected_shapes,
    flatten,
    load_network,
    max_pool_ceil,
)
from rethink_fr.weights.state_dicts import TorchStateError
from tests.weights.filled import filled


def small(layers: Layers, images: tf.Tensor) -> tf.Tensor:
    features = layers.unit("stem", images, 4, (3, 1), padding=(1, 0))
    return layers.dense("head", flatten(features), 5)


def test_a_network_says_which_weights_it_has():
    assert expected_shapes(small, [2, 3, 3]) == {
        "stem.conv.weight": (4, 3, 3, 1),
        "stem.bn.weight": (4,),
        "stem.bn.bias": (4,),
        "stem.bn.running_mean": (4,),
        "stem.bn.running_var": (4,),
        "head.weight": (5, 24),
        "head.bias": (5,),
    }


def test_every_weight_matters():
    state = filled(expected_shapes(small, [2, 3, 3]))
    images = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
    before = load_network(small, [2, 3, 3], state)(images).numpy()
    for name in state:
        other = load_network(small, [2, 3, 3], {**state, name: state[name] + 0.5})(images).numpy()
        assert np.abs(other - before).max() > 1e-3, name


def test_counters_and_the_named_rest_may_be_there():
    state = filled(expected_shapes(small, [2, 3, 3]))
    more = {"stem.bn.num_batches_tracked": np.array(7), "classifier.weight": np.zeros(3)}
    load_network(small, [2, 3, 3], {**state, **more}, beside=("classifier.",))
    with pytest.raises(TorchStateError, match=r"1 unexpected, the first is classifier\.weight"):
        load_network(small, [2, 3, 3], {**state, **more})


def test_what_does_not_fit_is_named():
    state = filled(expected_shapes(small, [2, 3, 3]))
    del state["stem.bn.bias"]
    state["head.weight"] = state["head.weight"].T
    state["foot.weight"] = np.zeros(3)
    with pytest.raises(TorchStateError) as error:
        load_network(small, [2, 3, 3], state)
    assert str(error.value) == (
        "not the weights of this network: 1 missing, the first is stem.bn.bias; "
        "1 unexpected, the first is foot.weight; 1 misshapen, the first is head.weight [24, 5] instead of [5, 24]"
    )


def test_one_name_for_two_shapes_is_a_mistake_of_the_network():
    def twice(layers, images):
        return layers.convolution("same", layers.convolution("same", images, 4), 4)

    with pytest.raises(TorchStateError, match=r"same\.weight is used as \[4, 3, 1, 1\] and as \[4, 4, 1, 1\]"):
        expected_shapes(twice, [2, 2, 3])


def test_prelu_has_one_slope_below_zero():
    network = load_network(
        lambda layers, images: layers.prelu("p", images), [1, 1, 2], {"p.weight": np.float32([0.25])}
    )
    np.testing.assert_array_equal(network(np.float32([[[[-4.0, 4.0]]]])), [[[[-1.0, 4.0]]]])


@pytest.mark.parametrize("length", [3, 4, 5, 6, 7, 31])
def test_the_hanging_pool_is_torchs(length):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    values = np.random.default_rng(0).normal(size=(1, length, length + 1, 2)).astype(np.float32)
    expected = torch.nn.functional.max_pool2d(
        torch.from_numpy(values.transpose(0, 3, 1, 2).copy()), 3, 2, ceil_mode=True
    )
    np.testing.assert_array_equal(max_pool_ceil(tf.constant(values), 3, 2), expected.numpy().transpose(0, 2, 3, 1))
