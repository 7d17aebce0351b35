"""The counter of multiply-accumulates agrees with counting by hand."""

import numpy as np
import tensorflow as tf

from rethink_fr.config import ModelConfig
from rethink_fr.workflows.complexity import count_operations, model_complexity, multiply_accumulates


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
    restorer = model_complexity(ModelConfig())["restorer"]
    assert restorer.trained_parameters == 42_775_011
    assert restorer.codebook_values == 1024 * (512 + 512 + 256 + 128)
    assert np.isclose(restorer.multiply_accumulates, 49.53e9, rtol=1e-3)
