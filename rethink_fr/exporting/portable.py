"""The function that TFLite and ONNX files hold: uint8 images in and out, and the control as a second input.

Nothing random happens in it, because neither format has TensorFlow's generator: noise is an input.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

import tensorflow as tf

from rethink_fr import images as ranges
from rethink_fr.system import Inference


def portable_function(inference: Inference, batch: Optional[int]) -> Any:
    """The network as a function of images and control that returns its images by name, see `system.Inference`.

    Args:
        inference: of the network.
        batch: number of images; None if any number may be given.

    Returns:
        A `tf.function` with an input signature. Images are uint8 `[batch, R, R, 3]`. The second input, if there is one,
        is called `noise`, float32 `[batch, *noise_shape]`, or `fidelity`, float32 `[batch]`.
    """
    side = inference.resolution
    inputs = [tf.TensorSpec([batch, side, side, 3], tf.uint8, "images")]
    if inference.control is not None:
        inputs.append(tf.TensorSpec([batch, *inference.control_shape[1:]], tf.float32, inference.control))

    def restore(images: tf.Tensor, *control: tf.Tensor) -> Dict[str, tf.Tensor]:
        made = inference.function(ranges.to_model(images), *control)
        return {name: ranges.to_uint8(image) for name, image in made.items()}

    return tf.function(restore, input_signature=inputs)
