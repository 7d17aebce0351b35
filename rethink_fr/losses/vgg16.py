"""VGG-16 with trained weights, as a fixed extractor of features."""

from __future__ import annotations

from typing import List, Mapping, Tuple

import numpy as np
import tensorflow as tf

# Where the convolutions stand in torchvision's `vgg16().features`, by the stages between poolings.
_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_CHANNELS = (64, 128, 256, 512, 512)


class VGG16Features(tf.Module):
    """Features after the ReLU at conv1_2, 2_2, 3_3, 4_3 and 5_3 (Simonyan and Zisserman 2015, configuration D).

    Call with `[B, H, W, 3]`, normalised as the weights expect; returns five maps of the same dtype, `[B, H, W, 64]`,
    then half the side each time (rounded down), with 128, 256, 512 and 512 channels. Its variables are not trained.

    Args:
        arrays: `features.N.weight` `[out, in, 3, 3]` and `features.N.bias` `[out]`, as torchvision names and orders
            them; other entries are ignored (a whole classifier's file will do).

    Raises:
        ValueError: naming the first array that is missing or misshapen.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(name="vgg16")
        self.stages: List[List[Tuple[tf.Variable, tf.Variable]]] = []
        channels = 3
        for positions, filters in zip(_STAGES, _CHANNELS):
            stage = []
            for position in positions:
                name = f"features.{position}"
                kernel = _array(arrays, f"{name}.weight", (filters, channels, 3, 3)).transpose(2, 3, 1, 0)
                bias = _array(arrays, f"{name}.bias", (filters,))
                stage.append((tf.Variable(kernel, trainable=False), tf.Variable(bias, trainable=False)))
                channels = filters
            self.stages.append(stage)

    def __call__(self, images: tf.Tensor) -> List[tf.Tensor]:
        taps: List[tf.Tensor] = []
        features = images
        for stage in self.stages:
            if taps:
                features = tf.nn.max_pool2d(features, 2, 2, "VALID")
            for kernel, bias in stage:
                features = tf.nn.conv2d(features, tf.cast(kernel, features.dtype), 1, "SAME")
                features = tf.nn.relu(tf.nn.bias_add(features, tf.cast(bias, features.dtype)))
            taps.append(features)
        return taps


def _array(arrays: Mapping[str, np.ndarray], name: str, shape: Tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"VGG-16: no {name} among {len(arrays)} arrays; expected torchvision's vgg16 weights")
    array = np.asarray(arrays[name], np.float32)
    if array.shape != shape:
        raise ValueError(f"VGG-16: {name} is {list(array.shape)}, expected {list(shape)}; is it torchvision's vgg16?")
    return array
