"""What every layer and network must do: shapes, gradients, saving, tracing, export, two replicas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Tuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr import layers
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Restorer

BATCH = 8  # two replicas hold one group of minibatch statistics each


@dataclass(frozen=True)
class Case:
    """A layer, the shapes it takes and those it gives, without the batch; None for a scalar."""

    make: Callable[[], keras.layers.Layer]
    inputs: Tuple[Tuple[int, ...], ...]
    outputs: Tuple[Optional[Tuple[int, ...]], ...]


CASES = {
    "AdaptiveLatentGate": Case(layers.AdaptiveLatentGate, ((6,), (3, 6)), ((3, 6),)),
    "AttentionPooling": Case(layers.AttentionPooling, ((4, 4, 6),), ((6,),)),
    "DeformableConv2D": Case(
        lambda: layers.DeformableConv2D(5, 3, deformable_groups=2), ((6, 8, 4), (6, 8, 36), (6, 8, 18)), ((6, 8, 5),)
    ),
    "EqualizedConv2D": Case(lambda: layers.EqualizedConv2D(5, 3, strides=2), ((8, 6, 4),), ((4, 3, 5),)),
    "EqualizedDense": Case(lambda: layers.EqualizedDense(5), ((4,),), ((5,),)),
    "GroupNorm": Case(lambda: layers.GroupNorm(groups=2), ((8, 6, 4),), ((8, 6, 4),)),
    "GroupNormSwish": Case(lambda: layers.GroupNormSwish(groups=2), ((8, 6, 4),), ((8, 6, 4),)),
    "LinearGatedFusion": Case(layers.LinearGatedFusion, ((8, 8, 4), (8, 8, 4)), ((8, 8, 4),)),
    "LinearGatedFusion, reduced": Case(layers.LinearGatedFusion, ((64, 64, 1), (64, 64, 1)), ((64, 64, 1),)),
    "MinibatchStdDev": Case(layers.MinibatchStdDev, ((4, 4, 5),), ((4, 4, 6),)),
    "ModulatedConv2D": Case(lambda: layers.ModulatedConv2D(5), ((6, 8, 4), (7,)), ((6, 8, 5),)),
    "ModulatedConv2D, to RGB": Case(
        lambda: layers.ModulatedConv2D(3, 1, demodulate=False), ((6, 8, 4), (7,)), ((6, 8, 3),)
    ),
    "PixelNoise": Case(layers.PixelNoise, ((6, 8, 4), (6, 8, 1)), ((6, 8, 4),)),
    "ResBlock": Case(lambda: layers.ResBlock(5), ((8, 6, 4),), ((4, 3, 5),)),
    "SpatialFeatureTransform": Case(lambda: layers.SpatialFeatureTransform(4), ((8, 6, 5), (8, 6, 4)), ((8, 6, 4),)),
    "StyleBlock, noise for each pixel": Case(
        lambda: layers.StyleBlock(5, pixel_noise=True), ((3, 4, 4), (7,), (6, 8, 2)), ((6, 8, 5),)
    ),
    "StyleBlock": Case(lambda: layers.StyleBlock(5), ((3, 4, 4), (7,)), ((6, 8, 5),)),
    "VectorQuantizer": Case(lambda: layers.VectorQuantizer(20, 4), ((3, 5, 4),), ((3, 5, 4), None, (3, 5))),
    "Discriminator": Case(lambda: Discriminator(32, 1 / 32), ((32, 32, 3),), ((1,),)),
    "Restorer": Case(
        lambda: Restorer(32, 1 / 32, n_skips=2, codebook_size=20), ((32, 32, 3), (3, 16)), ((32, 32, 3), None)
    ),
    "Restorer, beyond the paper": Case(
        lambda: Restorer(32, 1 / 32, 2, codebook_size=20, fusion="sft", pixel_noise=True, residual=True),
        ((32, 32, 3), (171, 16)),
        ((32, 32, 3), None),
    ),
    "Restorer, bare": Case(
        lambda: Restorer(32, 1 / 32, n_skips=1, fusion="concat", quantize=False),
        ((32, 32, 3), (2, 16)),
        ((32, 32, 3), None),
    ),
}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


def inputs_of(case: Case, seed: int = 0, batch: int = BATCH) -> list[tf.Tensor]:
    generator = np.random.default_rng(seed)
    return [tf.constant(generator.normal(size=[batch, *shape]), tf.float32) for shape in case.inputs]


def specs_of(case: Case) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None, *shape]) for shape in case.inputs]


def randomize(layer: keras.layers.Layer, seed: int = 5) -> None:
    """Biases and state that no initialiser gives."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.dtype == tf.float32:
            weight.assign(weight + 0.1 * generator.normal(size=weight.shape))


def built(case: Case) -> keras.layers.Layer:
    layer = case.make()
    layer(*inputs_of(case))
    randomize(layer)
    return layer


def flat(outputs: object) -> list[tf.Tensor]:
    return tf.nest.flatten(outputs)


def assert_same(ours: object, expected: object) -> None:
    """Equal up to the order of float32 sums in other kernels and fusions; indices exactly."""
    for value, other in zip(flat(ours), flat(expected), strict=True):
        if value.dtype.is_integer:
            np.testing.assert_array_equal(value, other)
        else:
            # 3e-5 of the largest value: a dozen convolutions in a row; measured 4e-6.
            np.testing.assert_allclose(value, other, rtol=1e-5, atol=3e-5 * float(tf.reduce_max(tf.abs(other))) + 1e-9)


def test_every_public_layer_has_a_case():
    assert set(layers.__all__) == {name.split(",")[0] for name in CASES} - {"Restorer", "Discriminator"}


def test_outputs_have_their_shapes_and_are_finite(case):
    layer = case.make()
    for batch in (1, 3, BATCH):
        outputs = flat(layer(*inputs_of(case, batch=batch)))
        shapes = [() if shape is None else (batch, *shape) for shape in case.outputs]
        assert [tuple(output.shape) for output in outputs] == shapes
        assert all(np.all(np.isfinite(output)) for output in outputs)


def test_the_gradient_reaches_every_trainable_weight_and_every_input(case):
    layer, inputs = built(case), inputs_of(case)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = [output for output in flat(layer(*inputs)) if output.dtype.is_floating]
        # Random weights: a plain sum can cancel.
        loss = tf.add_n(
            [tf.reduce_sum(output * tf.random.stateless_normal(output.shape, [1, 2])) for output in outputs]
        )
    targets = [*layer.trainable_weights, *inputs]
    for target, gradient in zip(targets, tape.gradient(loss, targets)):
        name = getattr(target, "name", "input") if isinstance(target, tf.Variable) else "input"
        assert gradient is not None, name
        assert np.all(np.isfinite(gradient)), name
        assert np.any(gradient != 0), name


@pytest.mark.parametrize("file", ["checkpoint", "layer.weights.h5"])
def test_saved_weights_load_into_another_object(case, tmp_path: Path, file: str):
    class Holder(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.held = case.make()

        def call(self, inputs: list[tf.Tensor]) -> object:
            return self.held(*inputs)

    first, second = Holder(), Holder()
    inputs = inputs_of(case)
    first(inputs)
    second(inputs)
    randomize(first)
    randomize(second, seed=6)
    first.save_weights(tmp_path / file)
    second.load_weights(tmp_path / file)
    for ours, expected in zip(second.weights, first.weights, strict=True):
        np.testing.assert_array_equal(ours, expected)
    for ours, expected in zip(flat(second(inputs)), flat(first(inputs))):
        np.testing.assert_array_equal(ours, expected)


def test_a_graph_of_unknown_batch_is_traced_once_and_equals_eager_execution(case):
    layer = built(case)
    traced = tf.function(lambda *inputs: layer(*inputs), input_signature=specs_of(case))
    for batch in (1, 3, BATCH):
        inputs = inputs_of(case, batch, batch)
        assert_same(traced(*inputs), layer(*inputs))
    assert traced.experimental_get_tracing_count() == 1
    for output, shape in zip(flat(traced.get_concrete_function().structured_outputs), case.outputs):
        assert output.shape.as_list()[1:] == list(shape or ())


def test_a_saved_model_does_what_the_layer_does(case, tmp_path: Path):
    layer = built(case)
    module = tf.Module()
    module.layer = layer
    module.run = tf.function(lambda *inputs: flat(layer(*inputs)), input_signature=specs_of(case))
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for batch in (1, 3):
        inputs = inputs_of(case, batch, batch)
        assert_same(loaded.run(*inputs), flat(layer(*inputs)))


def test_two_replicas_compute_what_one_does(case, mirrored):
    single = built(case)
    with mirrored.scope():
        double = case.make()
        tf.function(double).get_concrete_function(*specs_of(case))
    for weight, other in zip(double.weights, single.weights, strict=True):
        weight.assign(other)
    inputs = inputs_of(case, 1)
    shares = [
        mirrored.experimental_distribute_values_from_function(
            lambda context, value=value: tf.split(value, 2)[context.replica_id_in_sync_group]
        )
        for value in inputs
    ]
    outputs = tf.function(lambda *values: mirrored.run(lambda *share: flat(double(*share)), values))(*shares)
    parts = [mirrored.experimental_local_results(output) for output in outputs]
    # Scalars are means over a replica's share.
    joined = [tf.concat(part, 0) if part[0].shape.rank else tf.add_n(part) / 2 for part in parts]
    assert_same(joined, flat(single(*inputs)))
