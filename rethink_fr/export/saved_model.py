"""SavedModel of a restorer, for Pythons and servers that have TensorFlow and not this package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.models import Restorer

_CHECKED_IMAGES = 2


class ExportError(ValueError):
    """An exported model that cannot be written or does not do what the Keras one does."""


class _Served(tf.Module):
    """The inference functions of a restorer and nothing else: no optimizer, no discriminator."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer
        side = restorer.resolution
        noise = tf.TensorSpec([None, *restorer.noise_shape], tf.float32, "noise")
        self.restore = tf.function(
            lambda images, noise: restorer(images, noise).image,
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32, "images"), noise],
        )
        self.serve = tf.function(
            lambda pictures: {"restored": images.to_uint8(restorer(images.to_model(pictures)).image)},
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8, "images")],
        )


def export_saved_model(restorer: Restorer, output: Path) -> float:
    """Write a SavedModel, load it again, and compare it with the Keras model.

    It has one signature, `serving_default`: `images` uint8 `[B, R, R, 3]` -> `restored` uint8, noise 0. The function
    `tf.saved_model.load(path).restore(images, noise)` beside it takes float images in [-1, 1] and noise.

    Args:
        restorer: built, with its weights loaded.
        output: a new directory.

    Returns:
        The largest difference that was found, in 8-bit levels.

    Raises:
        ExportError: if `output` exists, cannot be written, or differs by more than one level.
    """
    output = Path(output)
    if output.exists():
        raise ExportError(f"{output}: exists already; remove it or choose another --output")
    partial = output.absolute().parent / f".{output.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        served = _Served(restorer)
        tf.saved_model.save(served, str(partial), signatures={"serving_default": served.serve})
        difference = _largest_difference(restorer, partial)
        if not difference <= 1.0:  # one level: rounding of values that float arithmetic puts on either side of a half
            raise ExportError(
                f"{output}: the exported model differs from the Keras model by {difference:.2f} of 255 levels; "
                "nothing was written"
            )
        os.replace(partial, output)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"{output}: cannot be written ({str(error).splitlines()[0]})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


def _largest_difference(restorer: Restorer, path: Path) -> float:
    """Between the exported and the Keras model, over random pictures: noise 0 through the signature, noise 1 beside."""
    generator = np.random.default_rng(0)
    side = restorer.resolution
    pictures = generator.integers(0, 256, [_CHECKED_IMAGES, side, side, 3], dtype=np.uint8)
    noise = generator.standard_normal([_CHECKED_IMAGES, *restorer.noise_shape], dtype=np.float32)
    loaded = tf.saved_model.load(str(path))
    served = loaded.signatures["serving_default"](images=tf.constant(pictures))["restored"]
    wanted = images.to_uint8(restorer(images.to_model(pictures)).image)
    stochastic = loaded.restore(images.to_model(pictures), noise) - restorer(images.to_model(pictures), noise).image
    return max(
        float(tf.reduce_max(tf.abs(tf.cast(served, tf.float32) - tf.cast(wanted, tf.float32)))),
        float(tf.reduce_max(tf.abs(stochastic))) * 127.5,
    )
