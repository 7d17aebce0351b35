"""The counter of multiply-accumulates agrees with counting by hand."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import DeformableConv2D
from rethink_fr.layers.complexity import count_operations, multiply_accumulates
from rethink_fr.ops.native import native_ops
from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.restorer.system import complexity
from rethink_fr.vqfr.settings import VQFRSettings
from rethink_fr.vqfr.system import complexity as vqfr_complexity


def test_convolutions_and_products_are_counted_by_hand():
    kernel, depthwise, matrix = tf.ones([3, 3, 4, 8]), tf.ones([7, 7, 8, 1]), tf.ones([8, 5])

    def network(image: tf.Tensor) -> tf.Tensor:
        features = tf.nn.conv2d(image, kernel, 2, "SAME")  # [2, 8, 8, 8]
        features = tf.nn.depthwise_conv2d(features, depthwise, [1, 1, 1, 1], "SAME")
        return tf.matmul(tf.reshape(features, [-1, 8]), matrix)

    expected = 2 * 8 * 8 * 8 * 36 + 2 * 8 * 8 * 8 * 49 + 2 * 8 * 8 * 8 * 5
    assert multiply_accumulates(network, tf.TensorSpec([2, 16, 16, 4])) == expected


def test_backward_passes_cost_what_the_forward_pass_costs():
    kernel = tf.Variable(tf.ones([3, 3, 4, 8]))

    @tf.function
    def step(image: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, 1, "SAME") ** 2)
        return tape.gradient(loss, [image, kernel])

    counts = count_operations(step.get_concrete_function(tf.TensorSpec([2, 16, 16, 4])).graph)
    forward = 2 * 16 * 16 * 8 * 36
    assert counts == {"Conv2D": forward, "Conv2DBackpropInput": forward, "Conv2DBackpropFilter": forward}


def test_products_inside_called_functions_are_counted():
    @tf.function
    def inner(x: tf.Tensor) -> tf.Tensor:
        return x @ x

    assert multiply_accumulates(lambda x: inner(x) @ x, tf.TensorSpec([4, 4])) == 2 * 4**3


def test_the_full_network_has_about_43_million_parameters_and_50_gmac():
    restorer = complexity(ModelConfig())["restorer"]
    assert restorer.trained_parameters == 42_775_011
    assert restorer.codebook_values == 1024 * (512 + 512 + 256 + 128)
    assert np.isclose(restorer.multiply_accumulates, 49.53e9, rtol=1e-3)


@pytest.mark.parametrize("implementation", ["auto", "reference"])
def test_a_deformable_convolution_counts_as_a_convolution_of_its_shapes(implementation):
    layer = DeformableConv2D(5, 3, deformable_groups=2, implementation=implementation)
    # 96 x 96 x 64: large enough for the reference to work in tiles, whose loop must not be looked into.
    specs = [tf.TensorSpec([2, 96, 96, channels], tf.float32) for channels in (64, 36, 18)]
    graph = tf.function(lambda *inputs: layer(*inputs)).get_concrete_function(*specs).graph
    assert count_operations(graph) == {"RethinkFr>DeformConv2d": 2 * 96 * 96 * 5 * 9 * 64}


def test_the_backward_pass_of_a_deformable_convolution_counts_twice_the_forward_one():
    if native_ops() is None:
        pytest.skip("no native operators here, and the reference's loops are not counted backward")
    layer = DeformableConv2D(5, 3, deformable_groups=2, implementation="compiled")

    def step(features: tf.Tensor, offsets: tf.Tensor, mask: tf.Tensor) -> list:
        with tf.GradientTape() as tape:
            outputs = layer(features, offsets, mask)
        return tape.gradient(outputs, layer.trainable_variables)

    specs = [tf.TensorSpec([2, 8, 8, channels], tf.float32) for channels in (16, 36, 18)]
    forward = 2 * 8 * 8 * 5 * 9 * 16
    assert count_operations(tf.function(step).get_concrete_function(*specs).graph) == {
        "RethinkFr>DeformConv2d": forward,
        "RethinkFr>DeformConv2dGrad": 2 * forward,
    }


def test_the_backward_pass_of_a_depthwise_convolution_is_counted():
    kernel = tf.Variable(tf.ones([7, 7, 4, 1]))

    def step(features: tf.Tensor) -> list:
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = tf.nn.depthwise_conv2d(features, kernel, [1, 1, 1, 1], "SAME")
        return tape.gradient(outputs, [features, kernel])

    forward = 2 * 16 * 16 * 4 * 49
    assert count_operations(tf.function(step).get_concrete_function(tf.TensorSpec([2, 16, 16, 4])).graph) == {
        "DepthwiseConv2dNative": forward,
        "DepthwiseConv2dNativeBackpropInput": forward,
        "DepthwiseConv2dNativeBackpropFilter": forward,
    }


@pytest.mark.slow
@pytest.mark.parametrize(("version", "parameters", "giga"), [(1, 76_563_583, 1128.854), (2, 83_486_539, 532.192)])
def test_vqfr_costs_what_its_layers_add_up_to(version, parameters, giga):
    """1.129 and 0.532 T; the paper's 1.07 T for version 1 leaves the deformable products (61.6 G) out."""
    counted = vqfr_complexity(VQFRSettings(version=version))
    assert counted.trained_parameters == parameters
    assert np.isclose(counted.multiply_accumulates, giga * 1e9, rtol=1e-6)
