"""The three discriminators: shapes, gradients of both orders, saving, graphs, two replicas, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, NamedTuple, Tuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses import hinge_discriminator_loss, logistic_discriminator_loss, r1_penalty
from rethink_fr.vqfr import PatchDiscriminator, StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.networks.spectral_norm import SpectralNormalized, set_power_iteration

SIDE = 16


class Case(NamedTuple):
    make: Callable[[], keras.Model]
    logits: Tuple[int, ...]
    training: Dict[str, bool] = {}


CASES = {
    "wavelets": Case(lambda: WaveletDiscriminator(SIDE, width=1 / 64), (1,)),
    "style": Case(lambda: StyleDiscriminator(SIDE, width=1 / 64), (1,)),
    "patches": Case(lambda: PatchDiscriminator(layers=2, width=1 / 8), (2, 2, 1), {"training": True}),
}
GLOBAL = ["wavelets", "style"]


def pictures(seed: int, batch: int = 8, dtype: type = np.float32) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, [batch, SIDE, SIDE, 3]).astype(dtype))


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


def settled(case: Case) -> keras.Model:
    """A network whose spectral norms have found their values, with other than zero biases."""
    network = case.make()
    network(pictures(0), **case.training)
    for weight in network.trainable_weights:
        weight.assign_add(0.05 * np.random.default_rng(1).normal(size=weight.shape))
    for layer in network.submodules:
        if isinstance(layer, SpectralNormalized):
            for _ in range(20):
                layer.normalized_kernel()
    return network


def test_logits_have_their_shape_and_are_finite(case):
    network = case.make()
    for batch in (1, 3, 8):
        logits = network(pictures(batch, batch), **case.training)
        assert logits.shape == [batch, *case.logits]
        assert np.all(np.isfinite(logits))


def test_a_published_size_has_published_channels_and_a_smaller_width_fewer():
    channels = [layer.filters for layer in WaveletDiscriminator().from_wavelets]
    assert channels == [64, 256, 512, 512, 512, 512, 512]
    assert [layer.filters for layer in WaveletDiscriminator(128, width=1 / 4).from_wavelets] == [64, 128, 128, 128, 128]
    assert [stage.conv_down.filters for stage in StyleDiscriminator().stages] == [128, 256, 512, 512, 512, 512, 512]
    assert [conv.filters for conv, _ in PatchDiscriminator(4, width=1 / 2).convolutions] == [64, 128, 256, 256]


def test_the_gradient_reaches_every_weight_and_the_images(case):
    network, images = settled(case), pictures(2)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = network(images, **case.training)
        loss = tf.reduce_sum(logits * tf.random.stateless_normal(logits.shape, [1, 2]))
    targets = [*network.trainable_weights, images]
    for target, gradient in zip(targets, tape.gradient(loss, targets)):
        assert gradient is not None and np.all(np.isfinite(gradient)) and np.any(gradient != 0), target


@pytest.mark.parametrize("name", GLOBAL)
def test_the_gradient_of_r1_reaches_every_kernel(name):
    network, images = settled(CASES[name]), pictures(2)
    with tf.GradientTape() as tape:
        penalty = r1_penalty(network, images)
    kernels = [weight for weight in network.trainable_weights if "kernel" in weight.name]
    for kernel, gradient in zip(kernels, tape.gradient(penalty, kernels)):
        assert gradient is not None and np.all(np.isfinite(gradient)) and np.any(gradient != 0), kernel.name


@pytest.mark.parametrize("name", GLOBAL)
def test_gradients_of_loss_and_r1_equal_finite_differences(name, float64):
    network, images = settled(CASES[name]), pictures(2, 4, np.float64)
    set_power_iteration(network, False)
    kernels = [weight for weight in network.trainable_weights if "kernel" in weight.name]

    @tf.function
    def losses() -> tf.Tensor:
        logits = network(images)
        return tf.stack([logistic_discriminator_loss(logits[:2], logits[2:]), r1_penalty(network, images)])

    with tf.GradientTape(persistent=True) as tape:
        both = losses()
    gradients = tape.jacobian(both, kernels, experimental_use_pfor=False)
    for number, (kernel, gradient) in enumerate(zip(kernels, gradients)):
        value, way = kernel.numpy(), np.random.default_rng(number).normal(size=kernel.shape)
        ends = []
        for step in (1e-7, -1e-7):
            kernel.assign(value + step * way)
            ends.append(losses().numpy())
        kernel.assign(value)
        slope = [np.sum(part * way) for part in gradient.numpy()]
        # Measured 1e-7; a step that carried a unit over its kink would show as a jump, far above.
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-7, slope, rtol=1e-5, atol=1e-7, err_msg=kernel.name)


@pytest.mark.parametrize("file", ["checkpoint", "network.weights.h5"])
def test_saved_weights_load_into_another_object(case, tmp_path: Path, file: str):
    first, second = settled(case), case.make()
    second(pictures(0))
    first.save_weights(tmp_path / file)
    second.load_weights(tmp_path / file)
    np.testing.assert_array_equal(second(pictures(3)), first(pictures(3)))
    for one, other in zip(second.weights, first.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_graph_of_unknown_batch_is_traced_once_and_equals_eager_execution(case):
    eager, graph = settled(case), case.make()
    graph(pictures(0))
    graph.set_weights(eager.get_weights())
    traced = tf.function(
        lambda images: graph(images, **case.training), input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])]
    )
    for batch in (1, 3, 8):
        # 1e-5: float32 in other orders; logits are of the order of 1.
        np.testing.assert_allclose(
            traced(pictures(batch, batch)), eager(pictures(batch, batch), **case.training), atol=1e-5
        )
    for one, other in zip(graph.weights, eager.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert traced.experimental_get_tracing_count() == 1


def test_frozen_networks_save_as_models_that_do_the_same(case, tmp_path: Path):
    network = settled(case)
    set_power_iteration(network, False)
    module = tf.Module()
    module.network = network
    module.run = tf.function(network.call, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for _ in range(2):
        np.testing.assert_allclose(loaded.run(pictures(3)), network(pictures(3)), atol=1e-5)


def step(case: Case, network: keras.Model, clean: tf.Tensor, fake: tf.Tensor, replicas: int) -> tf.Tensor:
    """A discriminator's step by gradient descent; returns this replica's part of the loss."""
    global_one = not case.training
    with tf.GradientTape() as tape:
        real_logits, fake_logits = network(clean, **case.training), network(fake, **case.training)
        if global_one:
            wanted = tf.reduce_all(tf.math.is_finite(clean))  # true, which the graph does not know
            penalty = tf.cond(wanted, lambda: r1_penalty(network, clean), lambda: 0.0)
            loss = logistic_discriminator_loss(real_logits, fake_logits) + 5.0 * penalty
        else:
            loss = hinge_discriminator_loss(real_logits, fake_logits)
        loss /= replicas
    network.optimizer.minimize(loss, network.trainable_weights, tape=tape)
    return loss


@pytest.mark.slow
def test_two_replicas_train_as_one_does(case, mirrored):
    single = settled(case)
    single.optimizer = keras.optimizers.SGD(0.01)
    single.optimizer.build(single.trainable_weights)
    with mirrored.scope():
        double = case.make()
        tf.function(double).get_concrete_function(tf.TensorSpec([None, SIDE, SIDE, 3]))
        double.optimizer = keras.optimizers.SGD(0.01)
        double.optimizer.build(double.trainable_weights)
    double.set_weights(single.get_weights())
    one_step = tf.function(lambda clean, fake: step(case, single, clean, fake, 1))
    two_steps = tf.function(
        lambda clean, fake: mirrored.run(lambda c, f: step(case, double, c, f, 2), args=(clean, fake))
    )
    for number in range(3):
        batch = [pictures(10 + number), pictures(20 + number)]
        shares = [
            mirrored.experimental_distribute_values_from_function(
                lambda context, value=value: tf.split(value, 2)[context.replica_id_in_sync_group]
            )
            for value in batch
        ]
        parts = mirrored.experimental_local_results(two_steps(*shares))
        # 1e-5: float32 sums over half the batch; measured 1e-6.
        np.testing.assert_allclose(tf.add_n(parts), one_step(*batch), rtol=1e-5)
    for one, other in zip(double.weights, single.weights, strict=True):
        first, second = mirrored.experimental_local_results(one)
        np.testing.assert_array_equal(first, second, err_msg=other.name)
        np.testing.assert_allclose(first, other, rtol=1e-4, atol=1e-5, err_msg=other.name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WaveletDiscriminator(96), "WaveletDiscriminator: resolution is 96, expected a power of two"),
        (lambda: WaveletDiscriminator(8), "expected a power of two from 16 to 1024"),
        (lambda: StyleDiscriminator(4), "StyleDiscriminator: resolution is 4, expected a power of two from 8 to 1024"),
        (lambda: StyleDiscriminator(64, width=0.0), "width is 0.0, expected above 0"),
        (lambda: PatchDiscriminator(0), "PatchDiscriminator: layers is 0, expected 1 to 6"),
        (lambda: PatchDiscriminator(width=-1.0), "width is -1.0, expected above 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [[2, 8, 8, 3], [2, 16, 16, 1], [2, 16, 3], [2, 18, 16, 3]])
def test_images_of_another_shape_are_refused_in_one_line(case, shape):
    with pytest.raises(ValueError, match="images are .*, expected") as error:
        case.make().call(tf.zeros(shape))
    assert len(str(error.value).splitlines()) == 1
