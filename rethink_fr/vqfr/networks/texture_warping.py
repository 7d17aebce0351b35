"""Texture warping moves the features of the texture branch to where the degraded image has them; joining does not."""

from __future__ import annotations

from typing import Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import DeformableConv2D, GroupNormSwish
from rethink_fr.layers.recompute import recomputable
from rethink_fr.layers.resample import upsample_2x
from rethink_fr.vqfr.networks.convolution import Chain, Convolution, DepthwiseConvolution

_DEFORMABLE_GROUPS = 4
_TAPS = 9  # of the 3x3 deformable convolution


class _OfOneSize(keras.layers.Layer):
    """A layer that sees the features of the degraded image at the size of its own features.

    Args:
        factor: f; its features are so many times smaller than the image.
        condition_channels: number of channels of the features of the degraded image.
        resize_conv: whether these are convolved after resizing (version 1). Has no effect if f is 1.
    """

    def __init__(self, factor: int, condition_channels: int, resize_conv: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.condition_conv = None
        if resize_conv and factor > 1:
            conv = Convolution(condition_channels, name=f"{self.name}.downsample.conv")
            self.condition_conv = Chain([conv], name=f"{self.name}.downsample")

    def condition(self, input_features: tf.Tensor) -> tf.Tensor:
        """The input features, resized bilinearly in one step, which is the mean of the four pixels in each middle."""
        if self.factor == 1:
            return input_features
        half, step = self.factor // 2, self.factor
        rows = (input_features[:, half - 1 :: step] + input_features[:, half::step]) * 0.5
        resized = (rows[:, :, half - 1 :: step] + rows[:, :, half::step]) * 0.5
        return resized if self.condition_conv is None else self.condition_conv(resized)


class TextureWarping(_OfOneSize):
    """A deformable convolution of texture features, whose offsets come from the degraded image and a smaller size.

    "VQFR" (Gu et al., ECCV 2022), section 3.3, and its supplement. This follows the released code. Unlike the paper, it
    has group normalization and swish between the convolutions, joins the offset features of this size and of the
    smaller one by a 3x3 convolution, and in version 1 convolves the features of the degraded image after resizing them.

    Call with `(texture, input_features, coarser)`:
        texture: `[B, H / f, W / f, C]`, from the texture decoder.
        input_features: `[B, H, W, 32]`, from the degraded image.
        coarser: the offset features of the next smaller size, `[B, H / 2f, W / 2f, C']`; None at the smallest size.
    Returns the warped texture and the offset features of this size, both `[B, H / f, W / f, C]`.

    Args:
        channels: C.
        factor: f; the features are so many times smaller than the image.
        condition_channels: number of channels of the features of the degraded image.
        resize_conv: whether these are convolved after resizing (version 1). Has no effect if f is 1.
    """

    def __init__(self, channels: int, factor: int, condition_channels: int, resize_conv: bool, **kwargs) -> None:
        super().__init__(factor, condition_channels, resize_conv, **kwargs)
        name = self.name
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

    @recomputable
    def call(
        self, texture: tf.Tensor, input_features: tf.Tensor, coarser: Optional[tf.Tensor]
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        condition = self.condition(input_features)
        offset_features = self.offset_conv(tf.concat([condition, texture], axis=-1))
        if coarser is not None:
            # An offset of one pixel is one of two pixels at twice the size.
            offset_features = tf.concat([offset_features, 2.0 * upsample_2x(coarser)], axis=-1)
        offset_features = self.offset_join(offset_features)
        offsets, mask = tf.split(
            self.to_offsets(offset_features), [2 * _DEFORMABLE_GROUPS * _TAPS, _DEFORMABLE_GROUPS * _TAPS], axis=-1
        )
        return self.deformable(texture, offsets, tf.sigmoid(mask)), offset_features


class TextureJoining(_OfOneSize):
    """In the place of `TextureWarping` in ablations: a 3x3 convolution of the texture and the input features.

    Our reading of "without texture warping" and of "single branch" in the paper's supplement: the degraded image still
    takes part at every size, but nothing is moved.

    Call as `TextureWarping`. Returns the joined features `[B, H / f, W / f, C]`, and None for the offset features.

    Args:
        channels: C.
        factor, condition_channels, resize_conv: see `TextureWarping`.
    """

    def __init__(self, channels: int, factor: int, condition_channels: int, resize_conv: bool, **kwargs) -> None:
        super().__init__(factor, condition_channels, resize_conv, **kwargs)
        self.join = Convolution(channels, name=f"{self.name}.join")

    def call(
        self, texture: tf.Tensor, input_features: tf.Tensor, coarser: Optional[tf.Tensor]
    ) -> Tuple[tf.Tensor, Optional[tf.Tensor]]:
        return self.join(tf.concat([self.condition(input_features), texture], axis=-1)), coarser
