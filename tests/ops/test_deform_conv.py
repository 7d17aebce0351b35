"""Deformable convolution: golden values, both implementations compared, gradients, and hostile input."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import rethink_fr.ops.deform_conv_reference as reference
from rethink_fr.ops import deform_conv2d

CASES = (
    "base odd_s2 dil2 groups2 dg4 dg4_outside dg4_g2_s2_d2 k5x1like_nopad k1 twm_like_64"  # names in golden_dcn.npz
).split()


def gradients_of(tensors, cotangent, implementation, **numbers):
    tensors = [tf.convert_to_tensor(value) for value in tensors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = deform_conv2d(*tensors, implementation=implementation, **numbers)
        loss = tf.reduce_sum(outputs * cotangent)
    return outputs.numpy(), [gradient.numpy() for gradient in tape.gradient(loss, tensors)]


def random_tensors(generator, batch, size, channels, filters, kernel, groups, deformable_groups, out, spread=2.0):
    entries = deformable_groups * kernel[0] * kernel[1]
    return [
        generator.normal(size=(batch, *size, channels)).astype("float32"),
        (spread * generator.normal(size=(batch, *out, 2 * entries))).astype("float32"),
        generator.uniform(size=(batch, *out, entries)).astype("float32"),
        generator.normal(size=(*kernel, channels // groups, filters)).astype("float32"),
        generator.normal(size=filters).astype("float32"),
    ]


@pytest.mark.parametrize("case", CASES)
def test_golden_values_and_gradients(shared, case, implementation):
    golden = np.load(shared / "golden/vqfr/golden_dcn.npz")

    def read(name):
        value = golden[f"{case}/{name}"]
        return np.moveaxis(value, 1, 3) if value.ndim == 4 else value

    def filters(name):
        return np.transpose(golden[f"{case}/{name}"], [2, 3, 1, 0])

    stride, padding, dilation, _, deformable_groups = (int(value) for value in golden[f"{case}/params"])
    outputs, gradients = gradients_of(
        [read("x"), read("offset"), read("mask"), filters("weight"), read("bias")],
        read("cotangent"),
        implementation,
        strides=stride,
        padding=padding,
        dilations=dilation,
        deformable_groups=deformable_groups,
    )
    expected = [read("grad_x"), read("grad_offset"), read("grad_mask"), filters("grad_weight"), read("grad_bias")]
    # 5e-5 is asked for; 1.1e-5 was the largest difference seen, in the filters' gradient of twm_like_64.
    np.testing.assert_allclose(outputs, read("out"), atol=5e-5)
    for gradient, value in zip(gradients, expected):
        np.testing.assert_allclose(gradient, value, atol=5e-5)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_compiled_equals_the_reference_on_any_shape(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    kernel, strides = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 3))
    dilations, padding = (draw(1, 2), draw(1, 2)), (draw(0, 3), draw(0, 3))
    # The number of channels is any multiple of both numbers of groups.
    groups, deformable_groups = draw(1, 3), draw(1, 4)
    channels = int(np.lcm(groups, deformable_groups)) * draw(1, 23)
    least = [max(1, dilations[i] * (kernel[i] - 1) + 1 - 2 * padding[i]) for i in range(2)]
    size = tuple(draw(least[i], least[i] + 12) for i in range(2))
    geometry = reference.DeformConvGeometry(kernel, strides, padding, dilations, deformable_groups)
    out = tuple(geometry.output_size(size[i], i) for i in range(2))
    generator = np.random.default_rng(draw(0, 2**32 - 1))
    spread = data.draw(st.sampled_from([0.0, 0.5, 3.0, 1e3]))
    tensors = random_tensors(
        generator, draw(1, 3), size, channels, groups * draw(1, 40), kernel, groups, deformable_groups, out, spread
    )
    numbers = dict(strides=strides, padding=padding, dilations=dilations, deformable_groups=deformable_groups)
    cotangent = generator.normal(size=(len(tensors[0]), *out, tensors[3].shape[3])).astype("float32")
    wide, wide_gradients = gradients_of(
        [value.astype("float64") for value in tensors], cotangent.astype("float64"), "reference", **numbers
    )
    for name in ("compiled", "reference"):
        outputs, gradients = gradients_of(tensors, cotangent, name, **numbers)
        close(outputs, wide)
        for gradient, value in zip(gradients, wide_gradients):
            close(gradient, value)


def close(value, expected):
    """Equal to 1e-5 of the largest value: places in float32 and float64 differ by up to 1e-6 pixels."""
    assert value.shape == expected.shape
    if value.size:
        assert np.abs(value - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


def test_zero_offsets_reproduce_plain_convolution(implementation):
    generator = np.random.default_rng(0)
    inputs, offsets, mask, filters, bias = random_tensors(generator, 2, (9, 7), 12, 5, (3, 3), 1, 4, (9, 7))
    outputs = deform_conv2d(
        inputs, 0 * offsets, None, filters, bias, deformable_groups=4, implementation=implementation
    )
    expected = tf.nn.conv2d(inputs, filters, 1, "SAME") + bias
    np.testing.assert_allclose(outputs, expected, atol=1e-4)  # sums of 108 products of order 1 to 10


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 3e38, -1e20, 2**31, 1e10])
def test_offsets_beyond_all_bounds_sample_nothing(implementation, wrong):
    generator = np.random.default_rng(1)
    tensors = random_tensors(generator, 1, (6, 5), 20, 3, (3, 3), 1, 2, (6, 5))
    spoiled = tensors[1].copy()
    spoiled[0, 2, 3, :] = wrong
    outputs, gradients = gradients_of(
        [tensors[0], spoiled, *tensors[2:]], np.ones([1, 6, 5, 3], "float32"), implementation, deformable_groups=2
    )
    np.testing.assert_allclose(outputs[0, 2, 3], tensors[4], atol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert not gradients[1][0, 2, 3].any() and not gradients[2][0, 2, 3].any()


def test_what_is_not_sampled_does_not_leak_in(implementation):
    """An infinity in the image, or an infinite mask outside it, is not multiplied by zero: that would be NaN."""
    generator = np.random.default_rng(2)
    inputs, offsets, mask, filters, bias = random_tensors(generator, 1, (5, 6), 18, 4, (3, 3), 1, 1, (5, 6), 0.0)
    inputs[0, 0, 0] = np.inf
    offsets[0, 4, 5, :] = 100.0
    mask[0, 4, 5, :] = np.inf
    outputs = deform_conv2d(inputs, offsets, mask, filters, bias, implementation=implementation).numpy()
    np.testing.assert_allclose(outputs[0, 4, 5], bias, atol=1e-6)
    far = np.isfinite(outputs).all(axis=-1)[0]
    assert far[3:].all() and far[:, 3:].all()


def test_an_empty_batch_is_allowed(implementation):
    tensors = random_tensors(np.random.default_rng(3), 0, (4, 5), 6, 7, (3, 3), 1, 2, (4, 5))
    outputs, gradients = gradients_of(tensors, np.zeros([0, 4, 5, 7], "float32"), implementation, deformable_groups=2)
    assert outputs.shape == (0, 4, 5, 7)
    assert gradients[0].shape == (0, 4, 5, 6) and not gradients[3].any()


def test_the_gradient_of_the_reference_is_right(float64, assert_gradient):
    """Compared with finite differences in float64, at offsets that are not near whole numbers."""
    generator = np.random.default_rng(4)
    tensors = [value.astype("float64") for value in random_tensors(generator, 2, (5, 6), 4, 3, (3, 2), 1, 2, (3, 4))]
    tensors[1] = np.floor(tensors[1]) + generator.uniform(0.1, 0.9, tensors[1].shape)

    def convolve(*values):
        return deform_conv2d(*values, strides=(1, 2), padding=(0, 1), deformable_groups=2, implementation="reference")

    assert_gradient(convolve, *tensors)


def test_the_reference_is_the_same_in_tiles(monkeypatch):
    generator = np.random.default_rng(5)
    tensors = random_tensors(generator, 2, (11, 6), 4, 3, (3, 3), 1, 2, (11, 6))
    cotangent = generator.normal(size=(2, 11, 6, 3)).astype("float32")
    whole = gradients_of(tensors, cotangent, "reference", deformable_groups=2)
    monkeypatch.setattr(reference, "_TILE_BYTES", 4 * 9 * 4 * 2 * 6 * 2)  # two rows
    tiled = gradients_of(tensors, cotangent, "reference", deformable_groups=2)
    # Sums over tiles are added in another order.
    np.testing.assert_allclose(tiled[0], whole[0], atol=1e-5)
    for one, other in zip(tiled[1], whole[1]):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("implementation_name", ["reference", "compiled"])
def test_unknown_sizes_are_traced_once(implementation_name):
    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, depth]) for depth in (4, 36, 18)]
        + [tf.TensorSpec([3, 3, 4, 5])]
    )
    def convolve(*tensors):
        return deform_conv2d(*tensors, deformable_groups=2, implementation=implementation_name)

    for batch, size in ((1, (5, 6)), (2, (8, 3))):
        tensors = random_tensors(np.random.default_rng(6), batch, size, 4, 5, (3, 3), 1, 2, size)[:4]
        outputs = convolve(*tensors)
        np.testing.assert_allclose(outputs, deform_conv2d(*tensors, deformable_groups=2), atol=1e-5)
    assert convolve.experimental_get_tracing_count() == 1


def test_no_tensor_of_the_reference_has_more_than_five_dimensions():
    """Some converters refuse them. With known sizes there is one tile, and the graph shows all its operations."""

    @tf.function(
        input_signature=[tf.TensorSpec([2, 5, 6, depth]) for depth in (4, 36, 18)] + [tf.TensorSpec([3, 3, 2, 6])]
    )
    def gradients(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = deform_conv2d(*tensors, deformable_groups=2, implementation="reference")
        return tape.gradient(outputs, tensors)

    operations = gradients.get_concrete_function().graph.get_operations()
    ranks = [tensor.shape.rank for operation in operations for tensor in operation.outputs]
    assert len(operations) > 100 and None not in ranks and max(ranks) <= 5


def test_the_result_does_not_depend_on_timing():
    """Several runs with all threads give the same bits, in the gradients too."""
    generator = np.random.default_rng(7)
    tensors = random_tensors(generator, 1, (40, 40), 64, 32, (3, 3), 1, 1, (40, 40))
    cotangent = generator.normal(size=(1, 40, 40, 32)).astype("float32")
    first = gradients_of(tensors, cotangent, "compiled")
    for _ in range(3):
        again = gradients_of(tensors, cotangent, "compiled")
        np.testing.assert_array_equal(again[0], first[0])
        for one, other in zip(again[1], first[1]):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deformable_groups": 3}, "8 channels do not fall in deformable_groups=3"),
        ({"strides": 0}, "strides is 0, expected an integer or a .* pair of at least 1"),
        ({"strides": (1, 2, 3)}, "strides is"),
        ({"strides": 2}, r"offsets are \(1, 5, 6, 36\), expected \[1, 3, 3, 36\]"),
        ({"mask": np.zeros([1, 5, 6, 9], "float32")}, "mask are"),
        ({"filters": np.zeros([3, 3, 5, 4], "float32")}, "inputs have 8 channels, filters"),
        ({"filters": np.zeros([9, 9, 8, 4], "float32")}, "does not fit into inputs"),
        ({"bias": np.zeros([3], "float32")}, r"bias is \(3,\), expected \[4\]"),
        ({"implementation": "fast"}, "expected auto, reference or compiled"),
        ({"inputs": np.zeros([1, 5, 6, 8]), "implementation": "compiled"}, "computes in float32, got float64"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    names = ("inputs", "offsets", "mask", "filters", "bias")
    tensors = random_tensors(np.random.default_rng(8), 1, (5, 6), 8, 4, (3, 3), 1, 2, (5, 6))
    arguments = {**dict(zip(names, tensors)), "deformable_groups": 2, **change}
    with pytest.raises(ValueError, match=message):
        deform_conv2d(**arguments)


def test_the_operator_itself_refuses_what_was_unknown_when_traced():
    @tf.function(input_signature=[tf.TensorSpec([None] * 3 + [depth]) for depth in (4, 36, 18)])
    def convolve(*tensors):
        filters = tf.ones([3, 3, 4, 5])
        return deform_conv2d(*tensors, filters, deformable_groups=2, implementation="compiled")

    inputs, offsets, mask = random_tensors(np.random.default_rng(9), 1, (5, 6), 4, 5, (3, 3), 1, 2, (5, 6))[:3]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"offsets are \[1,4,6,36\], expected \[1,5,6,36\]"):
        convolve(inputs, offsets[:, :4], mask)
