"""Differentiable augmentation of the images that the discriminator sees."""

from __future__ import annotations

from typing import Callable, Union

import tensorflow as tf

_DRAWS = 7  # random numbers per image, whatever the policy


def diff_augment(images: tf.Tensor, policy: str = "color,translation", seed: Union[int, tf.Tensor] = 0) -> tf.Tensor:
    """Augment images at random, in a way that gradients can flow through.

    DiffAugment, Zhao et al. 2020 (arXiv:2006.10738). Every image is augmented in its own way, and the same seed gives
    the same augmentations.

    Args:
        images: float `[B, H, W, 3]` in [-1, 1].
        policy: names separated by commas, applied in this order: "color" (brightness, saturation, contrast),
            "translation" (by up to an eighth of the side, zeros moving in), "cutout" (a square of half the side
            becomes 0). "" changes nothing.
        seed: an integer, or two integers `[2]`.

    Returns:
        Images of the same shape; "color" may take them out of [-1, 1].

    Raises:
        ValueError: if the policy names an unknown augmentation.

    Example:
        >>> images = tf.random.uniform([2, 16, 16, 3], -1, 1)
        >>> bool(tf.reduce_all(diff_augment(images, "", seed=1) == images))
        True
    """
    return apply_augmentation(images, augmentation_draws(tf.shape(images)[0], seed), policy)


def augmentation_draws(batch: tf.Tensor, seed: Union[int, tf.Tensor]) -> tf.Tensor:
    """Draw float32 numbers in [0, 1), `[batch, 7]`. Each row decides how one image is augmented."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
    seed = tf.stack([seed, 0]) if seed.shape.rank == 0 else seed
    return tf.random.stateless_uniform(tf.stack([batch, _DRAWS]), seed)


def apply_augmentation(images: tf.Tensor, draws: tf.Tensor, policy: str) -> tf.Tensor:
    """Augment images `[B, H, W, 3]` as the rows of `draws` say, which `augmentation_draws` made; see `diff_augment`.

    Raises:
        ValueError: if the policy names an unknown augmentation.
    """
    for name in filter(None, policy.split(",")):
        if name not in _AUGMENTATIONS:
            raise ValueError(f"DiffAugment: unknown policy {name!r}, expected some of {', '.join(_AUGMENTATIONS)}")
        images = _AUGMENTATIONS[name](images, draws)
    return images


def _color(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    brightness, saturation, contrast = (draws[:, column, None, None, None] for column in range(3))
    images += brightness - 0.5
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    images = grey + (images - grey) * (2.0 * saturation)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    for axis, size, draw in ((1, height, draws[:, 3]), (2, width, draws[:, 4])):
        reach = size // 8
        shift = tf.cast(tf.floor(draw * tf.cast(2 * reach + 1, tf.float32)), tf.int32) - reach  # -reach..reach
        padding = [[0, 0], [0, 0], [0, 0], [0, 0]]
        padding[axis] = [reach, reach]
        positions = tf.range(size)[None, :] + reach - shift[:, None]  # [B, size]
        moved = tf.gather(tf.pad(images, padding), positions, axis=axis, batch_dims=1)
        moved.set_shape(images.shape)
        images = moved
    return images


def _cutout(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    inside = []
    for size, draw in ((height, draws[:, 5]), (width, draws[:, 6])):
        centre = tf.cast(tf.floor(draw * tf.cast(size + 1, tf.float32)), tf.int32)
        first = centre - size // 4
        positions = tf.range(size)[None, :]
        inside.append((positions >= first[:, None]) & (positions < first[:, None] + size // 2))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images * tf.cast(~hole, images.dtype)[..., None]


_AUGMENTATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
