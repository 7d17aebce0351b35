"""Published weights by name: which misfits are told, and the two layouts."""

import numpy as np
import pytest

from rethink_fr.weights.state_dicts import (
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    VECTOR,
    TorchStateError,
    check_state,
    from_torch,
    to_torch,
)

SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}
STATE = {"a.weight": np.zeros([2, 3]), "a.bias": np.zeros(2)}


@pytest.mark.parametrize("axes", [CONVOLUTION, DEPTHWISE, DENSE, VECTOR])
def test_layouts_are_each_others_inverse(axes):
    value = np.random.default_rng(0).normal(size=range(2, 2 + len(axes)))
    np.testing.assert_array_equal(from_torch(to_torch(value, axes), axes), value)
    assert to_torch(value, axes).shape == tuple(value.shape[axis] for axis in axes)


def test_a_dense_layers_weights_are_out_times_in_in_pytorch():
    assert to_torch(np.zeros([3, 2]), DENSE).shape == SHAPES["a.weight"]


def test_counters_and_what_is_named_are_passed_over():
    more = {"a.num_batches_tracked": np.zeros([]), "head.weight": np.zeros(1)}
    check_state(SHAPES, {**STATE, **more}, beside=("head.",))
    with pytest.raises(TorchStateError, match=r"^these: 1 unexpected, the first is a\.num_batches_tracked$"):
        check_state(SHAPES, {**STATE, **more}, "these", buffers=(), beside=("head.",))


def test_the_first_of_each_kind_of_misfit_is_named_in_one_line():
    with pytest.raises(TorchStateError) as error:
        check_state(SHAPES, {"a.weight": np.zeros([3, 2]), "b": np.zeros(1), "c": np.zeros(1)})
    assert str(error.value) == (
        "not the weights of this network: 1 missing, the first is a.bias; 2 unexpected, the first is b; "
        "1 misshapen, the first is a.weight [3, 2] instead of [2, 3]"
    )
