"""The texture warping module: the texture branch's features, moved to where the input image has them."""

from __future__ import annotations

from typing import Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import DeformableConv2D, GroupNormSwish
from rethink_fr.layers.resample import upsample_2x
from rethink_fr.vqfr.networks.convolution import Chain, Convolution, DepthwiseConvolution

_DEFORMABLE_GROUPS = 4
_TAPS = 9  # of the 3x3 deformable convolution


class TextureWarping(keras.layers.Layer):
    """Deformable convolution of texture features; input and coarser offsets say where it samples.

    "VQFR" (Gu et al., ECCV 2022), section 3.3, and its supplement. The released code, which this follows, has group
    normalization and swish between the convolutions, combines this level's and the coarser level's offset features by
    one more 3x3 convolution, and in version 1 a 3x3 convolution after the input features are resized.

    Call with `(texture, input_features, coarser)`:
        texture:        `[B, H / f, W / f, C]`, of the texture decoder.
        input_features: `[B, H, W, 32]`, of the degraded image.
        coarser:        offset features of the next coarser level, `[B, H / 2f, W / 2f, C']`; None at the coarsest.
    Returns `(warped [B, H / f, W / f, C], offset features, likewise)`. Nothing follows the deformable convolution.

    Args:
        channels: C.
        factor: f, by how much this level is smaller than the image.
        resize_conv: whether a convolution follows the resizing of the input features (version 1; not at f = 1).
    """

    def __init__(self, channels: int, factor: int, condition_channels: int, resize_conv: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        name = self.name
        self.factor = factor
        self.condition_conv = None
        if resize_conv and factor > 1:
            conv = Convolution(condition_channels, name=f"{name}.downsample.conv")
            self.condition_conv = Chain([conv], name=f"{name}.downsample")
        first, second = f"{name}.offset_conv1", f"{name}.offset_conv2"
        self.offset_conv = Chain(
            [
                Convolution(channels, 1, name=f"{first}.0"),
                GroupNormSwish(name=f"{first}.1"),
                DepthwiseConvolution(7, name=f"{first}.3"),
                GroupNormSwish(name=f"{first}.4"),
                Convolution(channels, 1, name=f"{first}.6"),
            ],
            name=first,
        )
        self.offset_join = Chain(
            [Convolution(channels, name=f"{second}.0"), GroupNormSwish(name=f"{second}.1")], name=second
        )
        self.to_offsets = Convolution(3 * _DEFORMABLE_GROUPS * _TAPS, name=f"{name}.dcn.conv_offset")
        self.deformable = DeformableConv2D(channels, 3, _DEFORMABLE_GROUPS, name=f"{name}.dcn")

    def call(
        self, texture: tf.Tensor, input_features: tf.Tensor, coarser: Optional[tf.Tensor]
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        condition = self._condition(input_features)
        offset_features = self.offset_conv(tf.concat([condition, texture], axis=-1))
        if coarser is not None:
            # An offset of one pixel is one of two pixels at twice the size.
            offset_features = tf.concat([offset_features, 2.0 * upsample_2x(coarser)], axis=-1)
        offset_features = self.offset_join(offset_features)
        offsets, mask = tf.split(
            self.to_offsets(offset_features), [2 * _DEFORMABLE_GROUPS * _TAPS, _DEFORMABLE_GROUPS * _TAPS], axis=-1
        )
        return self.deformable(texture, offsets, tf.sigmoid(mask)), offset_features

    def _condition(self, input_features: tf.Tensor) -> tf.Tensor:
        """Input features at this level's size: bilinear in one step, so only the middle of each block counts."""
        if self.factor == 1:
            return input_features
        half, step = self.factor // 2, self.factor
        rows = (input_features[:, half - 1 :: step] + input_features[:, half::step]) * 0.5
        resized = (rows[:, :, half - 1 :: step] + rows[:, :, half::step]) * 0.5
        return resized if self.condition_conv is None else self.condition_conv(resized)
