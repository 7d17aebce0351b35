"""A function of images in parts, and blocks that are recomputed, give what they would give at once."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import ResBlock, StyleBlock
from rethink_fr.layers.minibatch_stddev import parts_that_keep_groups
from rethink_fr.layers.parts import in_parts
from rethink_fr.layers.recompute import recomputable, set_recompute


class Toy(tf.Module):
    """Two variables and all kinds of outputs, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.stateless_normal([5, 4], [1, 2], dtype=tf.float64))
        self.scale = tf.Variable(tf.constant(0.7, tf.float64))

    def __call__(self, images, weights):
        features = tf.tanh(images * self.scale) * weights[:, None, None]
        chosen = tf.argmax(tf.reduce_sum(features, axis=1), axis=-1, output_type=tf.int32)  # [B, C]: whole numbers
        return {
            "rows": (features, tf.gather(self.table, chosen % 5)),
            "chosen": chosen,
            "nothing": None,
        }, tf.reduce_mean(features**2)


def gradients(toy, parts, images, weights):
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch([images, weights, *toy.trainable_variables])
        outputs, mean = in_parts(toy, parts, images, weights)
        features, codes = outputs["rows"]
        couples = tf.reduce_sum(tf.reduce_mean(features, axis=0) ** 2)  # the whole batch, squared
        loss = couples + mean + tf.reduce_sum(codes**3)
    found = tape.gradient(loss, [images, weights, *toy.trainable_variables])
    return [loss, mean, features, codes, outputs["chosen"], *(tf.convert_to_tensor(one) for one in found)]


@pytest.mark.parametrize("graph", [False, True])
def test_values_and_gradients_are_those_of_the_whole_batch(mirrored, graph):
    images = tf.random.stateless_normal([8, 3, 4], [3, 4], dtype=tf.float64)
    weights = tf.random.stateless_normal([8], [5, 6], dtype=tf.float64)
    for strategy in (tf.distribute.get_strategy(), mirrored):
        with strategy.scope():
            toy = Toy()
        results = []
        for parts in (1, 2, 8):

            def run(parts=parts, strategy=strategy, toy=toy):
                return strategy.run(lambda: gradients(toy, parts, images, weights))

            values = tf.function(run)() if graph else run()
            results.append([strategy.experimental_local_results(value)[0].numpy() for value in values])
        for other in results[1:]:
            for one, two in zip(results[0], other):
                np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-13)


def test_a_part_at_a_time_is_all_that_is_computed():
    sizes = []

    def function(images):
        sizes.append(int(images.shape[0]))
        return images * 2.0

    images = tf.ones([6, 2])
    with tf.GradientTape() as tape:
        tape.watch(images)
        doubled = in_parts(function, 3, images)
    np.testing.assert_array_equal(tape.gradient(doubled, images), np.full([6, 2], 2.0))
    assert sizes == [2] * 6


@pytest.mark.parametrize(
    ("samples", "parts", "possible"), [(8, 1, 1), (8, 2, 2), (8, 4, 2), (8, 8, 2), (6, 3, 2), (5, 5, 5), (32, 8, 8)]
)
def test_groups_of_the_minibatch_deviation_are_not_split(samples, parts, possible):
    assert parts_that_keep_groups(samples, parts) == possible


def test_recomputed_blocks_have_equal_gradients_and_keep_less():
    features, style = tf.random.normal([2, 8, 8, 3]), tf.random.normal([2, 5])
    for block, inputs in ((ResBlock(4), (features,)), (StyleBlock(4, pixel_noise=True), (features, style))):
        block(*inputs)
        module = tf.Module()
        module.block = block
        found = {}
        for enabled in (False, True):
            set_recompute(module, enabled)

            @tf.function
            def gradient(inputs=inputs, block=block):
                with tf.GradientTape() as tape:
                    tape.watch(inputs)
                    loss = tf.reduce_sum(block(*inputs) ** 2)
                return tape.gradient(loss, [*inputs, *block.trainable_variables])

            convolutions = sum(op.type == "Conv2D" for op in gradient.get_concrete_function().graph.get_operations())
            found[enabled] = [value.numpy() for value in gradient()], convolutions
        for one, other in zip(found[False][0], found[True][0]):
            # 1e-6 of the largest: graphs are fused in other ways, which rounds otherwise.
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-6 * max(1.0, np.abs(one).max()))
        assert found[True][1] == 2 * found[False][1]


class Nested(tf.Module):
    """Takes and returns more than tensors, as the perceptual terms and VQFR's main branch do."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(1.5)

    @recomputable
    def inner(self, tensor):
        return tf.sin(self.scale * tensor)

    @recomputable
    def outer(self, tensors, level, nothing, *more):
        assert level == 2 and nothing is None
        first = self.inner(tensors[0]) * level
        return first, None, {"sum": tf.add_n([tf.reduce_sum(one) for one in (*tensors, *more)]), "exp": tf.exp(first)}


def test_recomputed_methods_take_and_return_nested_tensors_and_none():
    module, tensors = Nested(), [tf.random.normal([3]) for _ in range(3)]
    found, sines = {}, {}
    for enabled in (False, True):
        set_recompute(module, enabled)

        @tf.function
        def gradient(tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                first, nothing, named = module.outer(tensors[:2], 2, None, tensors[2])
                assert nothing is None
                loss = tf.reduce_sum(first) + named["sum"] + tf.reduce_sum(named["exp"])
            return [loss, *tape.gradient(loss, [*tensors, module.scale])]

        found[enabled] = [value.numpy() for value in gradient(tensors)]
        operations = gradient.get_concrete_function(tensors).graph.get_operations()
        sines[enabled] = sum(operation.type == "Sin" for operation in operations)
    for one, other in zip(found[False], found[True]):
        np.testing.assert_allclose(other, one, rtol=1e-6)
    assert sines == {False: 1, True: 3}  # once for the value; again in the method, and again in the method within it


def test_keras_still_sees_what_a_recomputable_block_takes():
    assert list(inspect.signature(StyleBlock.call).parameters) == ["self", "features", "style", "noise", "beside"]
    assert StyleBlock(4)(tf.zeros([1, 8, 8, 2]), style=tf.zeros([1, 16])).shape == (1, 16, 16, 4)
