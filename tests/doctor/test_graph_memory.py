"""The memory of a graph, computed from it, for graphs whose memory is known."""

import tensorflow as tf

from rethink_fr.doctor.graph_memory import graph_peak

BLOCK = 4 * 1024 * 256  # bytes of the tensors here


def peak(function, *shapes) -> float:
    """The peak in blocks."""
    specs = [tf.TensorSpec(shape or [1024, 256]) for shape in shapes or (None,)]
    return graph_peak(tf.function(function).get_concrete_function(*specs).graph) / BLOCK


def test_a_tensor_lives_until_its_last_use():
    def chain(x):
        for _ in range(6):
            x = tf.roll(x, 1, axis=0)  # makes a new tensor
        return x

    def kept(x):
        made = [tf.roll(x, shift, axis=0) for shift in range(6)]
        return tf.concat(made, axis=0)

    assert abs(peak(chain) - 2) < 0.01
    assert abs(peak(kept) - 12) < 0.01  # six, and what they become


def test_views_and_results_in_place_take_nothing():
    def views(x):
        y = tf.roll(x, 1, axis=0)
        return tf.reshape(tf.stop_gradient(tf.identity(y)), [256, 1024])

    def in_place(x):
        y = tf.roll(x, 1, axis=0)
        for _ in range(5):
            y = tf.nn.relu(y) * 2.0
        return y

    def not_in_place(x):
        y = tf.roll(x, 1, axis=0)
        return tf.nn.relu(y) + tf.roll(y, 1, axis=0)

    assert abs(peak(views) - 1) < 0.01
    assert abs(peak(in_place) - 1) < 0.01
    assert abs(peak(not_in_place) - 3) < 0.01


def test_gradients_keep_what_they_need_and_branches_count_once():
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(5):
                y = tf.sin(tf.roll(y, 1, axis=0))  # its gradient needs what it was taken of
            loss = tf.reduce_sum(y)
        return tape.gradient(loss, x)

    def branch(x):
        y = tf.reduce_sum(x)
        return tf.cond(y > 0, lambda: tf.roll(x, 1, axis=0), lambda: tf.roll(x, 1, axis=0) * tf.roll(x, 2, axis=0))

    @tf.function
    def inner(x):
        return tf.roll(x, 1, axis=0) + tf.roll(x, 2, axis=0)

    assert 6 <= peak(gradient) <= 8
    assert abs(peak(branch) - 2) < 0.01
    assert abs(peak(lambda x: tf.roll(inner(x), 1, axis=0)) - 2) < 0.01
