"""The signatures of a SavedModel: what can be asked of it in TensorFlow Serving, or by `loaded.signatures[NAME]`.

    serving_default   images -> restored                                        noise 0, or fidelity 1
    restore           images, and noise or a seed, or a fidelity -> restored
    samples           images, a number, seeds -> that many restorations, their mean and spread
    restore_bytes     image files, seeds or a fidelity -> PNG files

They take and give uint8 images, and one seed, noise scale and fidelity for each image, so that a server may join
requests to one batch, and the result for an image never depends on its neighbours. One value stands for all images.
Inputs with a default may be left out of gRPC requests; REST requests and Python calls have to name all.

Every signature calls one function, which is in the SavedModel once.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

import tensorflow as tf

from rethink_fr import images as ranges
from rethink_fr.exporting.encoded import decode_squares, encode_pngs
from rethink_fr.exporting.noise import draw_noise
from rethink_fr.system import Inference

MAX_SAMPLES = 64  # in one call of `samples`: a request must not be able to ask for any amount of memory
_SAMPLES = 4  # unless a request says how many
# TensorFlow Serving writes outputs whose name ends in _bytes as base64; the input is named alike.
_FILES = tf.TensorSpec([None], tf.string, "image_bytes")

Tensors = Dict[str, tf.Tensor]
Signatures = Dict[str, Any]  # functions by name: TensorFlow has no public type for what `tf.function` returns


def network_function(inference: Inference) -> Any:
    """The network as one function of float32 images in [-1, 1] and, if it has a control, one of it for each image."""
    specifications = [_images(inference.resolution, tf.float32)]
    if inference.control is not None:
        # A fidelity has no dimensions in `Inference`; here it has that of the batch.
        shape = inference.control_shape or (None,)
        specifications.append(tf.TensorSpec(shape, tf.float32, inference.control))
    return tf.function(lambda *inputs: inference.function(*inputs), input_signature=specifications)


def signatures(inference: Inference, network: Any) -> Signatures:
    """All signatures that a restorer has, by name.

    Args:
        inference: what it takes.
        network: its `network_function`.
    """
    make = {None: _without_control, "noise": _with_noise, "fidelity": _with_fidelity}[inference.control]
    return make(inference, network)


def _without_control(inference: Inference, network: Any) -> Signatures:
    def restore(images: tf.Tensor) -> Tensors:
        return _pictures(network(ranges.to_model(images)))

    def restore_bytes(image_bytes: tf.Tensor) -> Tensors:
        return _encoded(restore(decode_squares(image_bytes, inference.resolution)))

    images = _images(inference.resolution)
    return {
        "serving_default": _traceable(restore, images),
        "restore": _traceable(restore, images),
        "restore_bytes": _traceable(restore_bytes, _FILES),
    }


def _with_fidelity(inference: Inference, network: Any) -> Signatures:
    one = tf.ones([1])

    def restore(images: tf.Tensor, fidelity: tf.Tensor = one) -> Tensors:
        _check_share(fidelity, "fidelity")
        return _pictures(network(ranges.to_model(images), _for_each(fidelity, images)))

    def restore_by_default(images: tf.Tensor) -> Tensors:
        return restore(images)

    def restore_bytes(image_bytes: tf.Tensor, fidelity: tf.Tensor = one) -> Tensors:
        return _encoded(restore(decode_squares(image_bytes, inference.resolution), fidelity))

    images, fidelities = _images(inference.resolution), tf.TensorSpec([None], tf.float32, "fidelity")
    return {
        "serving_default": _traceable(restore_by_default, images),
        "restore": _traceable(restore, images, fidelities),
        "restore_bytes": _traceable(restore_bytes, _FILES, fidelities),
    }


def _with_noise(inference: Inference, network: Any) -> Signatures:
    side, shape = inference.resolution, [int(size or 0) for size in inference.control_shape[1:]]
    none, zero, one, some = tf.zeros([0, *shape]), tf.zeros([1], tf.int64), tf.ones([1]), tf.constant([_SAMPLES])

    def with_noise(images: tf.Tensor, noise: tf.Tensor, scale: tf.Tensor) -> Tensors:
        _check_share(scale, "noise_scale")
        scale = tf.reshape(_for_each(scale, images), [-1] + [1] * len(shape))
        made: Tensors = network(ranges.to_model(images), tf.ensure_shape(noise, [None, *shape]) * scale)
        return made

    def drawn(images: tf.Tensor, seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        seed = _for_each(seed, images)
        return draw_noise(shape, seed, tf.fill(tf.shape(seed), number))

    def restore_by_default(images: tf.Tensor) -> Tensors:
        return _pictures(network(ranges.to_model(images), tf.zeros([tf.shape(images)[0], *shape])))

    def restore(
        images: tf.Tensor, noise: tf.Tensor = none, seed: tf.Tensor = zero, noise_scale: tf.Tensor = one
    ) -> Tensors:
        chosen = tf.cond(tf.size(noise) > 0, lambda: noise, lambda: drawn(images, seed, 0))
        return _pictures(with_noise(images, chosen, noise_scale))

    def samples(
        images: tf.Tensor, count: tf.Tensor = some, seed: tf.Tensor = zero, noise_scale: tf.Tensor = one
    ) -> Tensors:
        number = tf.reduce_max(count)
        allowed = (number >= 1) & (number <= MAX_SAMPLES)
        with tf.control_dependencies(
            [tf.debugging.Assert(allowed, [f"count: expected 1 to {MAX_SAMPLES}, found", number])]
        ):
            number = tf.identity(number)  # only now: nothing is computed for a number that is refused
        made = tf.map_fn(
            lambda sample: with_noise(images, drawn(images, seed, sample), noise_scale)["restored"],
            tf.range(number),
            parallel_iterations=1,
            fn_output_signature=_images(side, tf.float32),
        )
        levels = tf.clip_by_value(ranges.to_levels(made), 0.0, 255.0)  # [N, B, R, R, 3]
        return {
            "samples": tf.transpose(ranges.to_uint8(made), [1, 0, 2, 3, 4]),
            "mean": tf.cast(tf.round(tf.reduce_mean(levels, axis=0)), tf.uint8),
            "spread": tf.math.reduce_std(levels, axis=0),
        }

    def restore_bytes(image_bytes: tf.Tensor, seed: tf.Tensor = zero, noise_scale: tf.Tensor = one) -> Tensors:
        images = decode_squares(image_bytes, side)
        return _encoded(_pictures(with_noise(images, drawn(images, seed, 0), noise_scale)))

    images, counts = _images(side), tf.TensorSpec([None], tf.int32, "count")
    chance = (tf.TensorSpec([None], tf.int64, "seed"), tf.TensorSpec([None], tf.float32, "noise_scale"))
    # Its dimensions are open so that JSON can say "none": [[]], which has one row of nothing.
    noise = tf.TensorSpec([None] * (1 + len(shape)), tf.float32, "noise")
    return {
        "serving_default": _traceable(restore_by_default, images),
        "restore": _traceable(restore, images, noise, *chance),
        "samples": _traceable(samples, images, counts, *chance),
        "restore_bytes": _traceable(restore_bytes, _FILES, *chance),
    }


def _traceable(function: Callable[..., Tensors], *inputs: tf.TensorSpec) -> Any:
    """A function that takes these inputs, by the names that they and its arguments have."""
    return tf.function(function, input_signature=inputs)


def _images(side: int, dtype: tf.DType = tf.uint8) -> tf.TensorSpec:
    return tf.TensorSpec([None, side, side, 3], dtype, "images")


def _pictures(made: Tensors) -> Tensors:
    return {name: ranges.to_uint8(image) for name, image in made.items()}


def _encoded(pictures: Tensors) -> Tensors:
    return {f"{name}_bytes": encode_pngs(picture) for name, picture in pictures.items()}


def _for_each(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """One value for each image: `values` `[B]`, or `[1]` for all."""
    return tf.broadcast_to(values, [tf.shape(images)[0]])


def _check_share(values: tf.Tensor, name: str) -> None:
    tf.debugging.Assert(tf.reduce_all((values >= 0.0) & (values <= 1.0)), [f"{name}: expected 0 to 1, found", values])
