"""bfloat16 and float16 are taken and given back by every operator; what lies between is float32."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import DeformableConv2D, GroupNorm, GroupNormSwish
from rethink_fr.layers.group_norm import group_norm
from rethink_fr.ops import deform_conv2d, group_norm_swish

# The largest relative error of rounding to 8 and to 11 bits.
ROUNDING = {tf.bfloat16: 2.0**-8, tf.float16: 2.0**-11}


@pytest.fixture(params=list(ROUNDING), ids=lambda dtype: dtype.name)
def half(request):
    return request.param


@pytest.fixture(params=["reference", "compiled"])
def implementation(request):
    return request.param


def deform_tensors(columns=300):
    """Inputs, offsets, mask, filters and bias. Not every column is a number in bfloat16."""
    generator = np.random.default_rng(0)
    shapes = ([2, 5, columns, 12], [2, 5, columns, 36], [2, 5, columns, 18], [3, 3, 6, 8], [8])
    return [generator.normal(size=shape) for shape in shapes]


def norm_tensors():
    """Inputs, gamma and beta. The sum of a group is far beyond where bfloat16 can still count, and float16 at all."""
    generator = np.random.default_rng(1)
    return [12.0 + generator.normal(size=[2, 48, 40, 24]), generator.normal(size=[24]), generator.normal(size=[24])]


def convolve(*tensors, implementation):
    return deform_conv2d(*tensors, deformable_groups=2, implementation=implementation)


def normalize(*tensors, implementation):
    return group_norm_swish(*tensors, groups=6, implementation=implementation)


def normalize_only(*tensors, implementation):
    return group_norm(*tensors, groups=6)


def with_gradients(function, sources, upstream, implementation):
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = function(*sources, implementation=implementation)
    return [outputs, *tape.gradient(outputs, sources, tf.cast(upstream, outputs.dtype))]


@pytest.mark.parametrize(
    ("function", "tensors"), [(convolve, deform_tensors), (normalize, norm_tensors), (normalize_only, norm_tensors)]
)
def test_values_and_gradients_are_those_of_float64_but_for_one_rounding(function, tensors, half, implementation):
    sources = [tf.cast(tensor, half) for tensor in tensors()]
    exact = [tf.cast(tensor, tf.float64) for tensor in sources]
    upstream = tf.cast(np.random.default_rng(2).normal(size=function(*exact, implementation="reference").shape), half)
    found = with_gradients(function, sources, upstream, implementation)
    for value, expected in zip(found, with_gradients(function, exact, upstream, "reference")):
        assert value.dtype == half
        # Beside the rounding, what float32 sums are off by; see the tests of each operator.
        atol = 2e-5 * max(1.0, float(tf.reduce_max(tf.abs(expected))))
        np.testing.assert_allclose(tf.cast(value, tf.float64), expected, rtol=ROUNDING[half], atol=atol)


def test_other_tensors_than_the_inputs_may_be_float32(half, implementation):
    """Offsets in bfloat16 would be as far off as a quarter of a pixel at 64 pixels."""
    inputs, *others = deform_tensors(70)
    others[0] *= 10.0
    sources = [tf.cast(inputs, half), *(tf.cast(tensor, tf.float32) for tensor in others)]
    exact = [tf.cast(tensor, tf.float64) for tensor in sources]
    upstream = np.random.default_rng(3).normal(size=[2, 5, 70, 8])
    found = with_gradients(convolve, sources, upstream, implementation)
    expected = with_gradients(convolve, exact, tf.cast(upstream, half), "reference")
    assert [value.dtype for value in found] == [half, half, *[tf.float32] * 4]
    for value, other in zip(found, expected):
        rtol = ROUNDING[half] if value.dtype == half else 1e-5
        atol = 2e-5 * max(1.0, float(tf.reduce_max(tf.abs(other))))
        np.testing.assert_allclose(tf.cast(value, tf.float64), other, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("make", "more"),
    [(lambda dtype: DeformableConv2D(5, dtype=dtype), (18, 9)), (lambda dtype: GroupNorm(dtype=dtype), ())]
    + [(lambda dtype: GroupNormSwish(dtype=dtype), ())],
)
def test_layers_follow_mixed_precision_of_keras(make, more, half):
    features, *others = (tf.random.uniform([2, 6, 7, depth]) for depth in (32, *more))
    layer = make(f"mixed_{half.name}")

    @tf.function
    def call(features, *others):
        with tf.GradientTape() as tape:
            outputs = layer(features, *others)
        return outputs, tape.gradient(outputs, layer.trainable_variables)

    outputs, gradients = call(features, *others)
    assert outputs.dtype == half and np.isfinite(tf.cast(outputs, tf.float32)).all()
    assert [gradient.dtype for gradient in gradients] == [tf.float32] * 2


def test_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="group_norm_swish: inputs are int32, expected float32, float64, bfloat16 or"):
        group_norm_swish(tf.zeros([1, 2, 2, 8], tf.int32), tf.ones([8]), tf.zeros([8]), groups=2)
    with pytest.raises(ValueError, match="deform_conv2d: inputs are uint8"):
        deform_conv2d(tf.zeros([1, 2, 2, 8], tf.uint8), tf.zeros([1, 2, 2, 18]), None, tf.ones([3, 3, 8, 4]))
