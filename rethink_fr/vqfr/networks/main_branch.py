"""The main branch, which makes the restored image from the textures of every size."""

from __future__ import annotations

from typing import List, Optional, Tuple, Type

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import GroupNormSwish
from rethink_fr.layers.recompute import recomputable
from rethink_fr.vqfr.networks.architecture import Architecture
from rethink_fr.vqfr.networks.autoencoder import SHORTCUT_NAMES
from rethink_fr.vqfr.networks.blocks import BilinearUp, NearestUp, ResidualBlock
from rethink_fr.vqfr.networks.convolution import Chain, Convolution
from rethink_fr.vqfr.networks.texture_warping import TextureJoining, TextureWarping

INPUT_CHANNELS = 32


class MainBranch(keras.layers.Layer):
    """Warps the textures of each size, from the smallest to the largest, and joins them by residual blocks.

    "VQFR" (Gu et al., ECCV 2022), Fig. 3. In the supplement of the paper there is a residual block at the smallest
    size, too; this follows the released code, which has none there.

    Call with `(textures, input_features)`: what the `TextureDecoder` returns, and features of the degraded image,
    `[B, H, W, 32]`. Returns `[B, H, W, C]`.

    Args:
        architecture: the sizes.
        warped: whether textures are warped. If not, they are only joined with the input features; see `TextureJoining`.
    """

    def __init__(self, architecture: Architecture, warped: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        name, version = self.name, architecture.version
        channels, factors = architecture.channels[::-1], architecture.factors[::-1]
        kind: Type[keras.layers.Layer] = TextureWarping if warped else TextureJoining
        self.warpings = [
            kind(count, factor, INPUT_CHANNELS, resize_conv=version == 1, name=f"{name}.align_func_dict.Level_{factor}")
            for factor, count in zip(factors, channels)
        ]
        self.ups: List[keras.layers.Layer] = []
        self.blocks: List[keras.layers.Layer] = []
        for factor, count in zip(factors[1:], channels[1:]):
            up_name = f"{name}.pre_upsample_dict.Level_{factor}"
            self.ups.append(BilinearUp(count, name=up_name) if version == 1 else NearestUp(count, "1", name=up_name))
            block_name = f"{name}.decoder_dict.Level_{factor}"
            self.blocks.append(ResidualBlock(count, SHORTCUT_NAMES[version], name=block_name))

    def call(self, textures: Tuple[tf.Tensor, ...], input_features: tf.Tensor) -> tf.Tensor:
        features, offset_features = self.warpings[0](textures[0], input_features, None)
        for level, texture in enumerate(textures[1:], start=1):
            features, offset_features = self._level(level, features, offset_features, texture, input_features)
        return features

    @recomputable
    def _level(
        self,
        level: int,
        features: tf.Tensor,
        offset_features: Optional[tf.Tensor],
        texture: tf.Tensor,
        input_features: tf.Tensor,
    ) -> Tuple[tf.Tensor, Optional[tf.Tensor]]:
        """The features and offset features of a size from those of the next smaller one."""
        features = self.ups[level - 1](features)
        warped, offset_features = self.warpings[level](texture, input_features, offset_features)
        return self.blocks[level - 1](tf.concat([features, warped], axis=-1)), offset_features


class SingleBranch(keras.layers.Layer):
    """The input features on their way into the one decoder of an ablation, which has no main branch.

    Our reading of "single branch" in the supplement of "VQFR" (Gu et al., ECCV 2022): at every size the features of the
    degraded image are joined with those of the texture decoder and added to them, so that what comes from the codes is
    not kept apart.

    Call with `(features, input_features, position)`: the decoder's features of one size, `[B, h, w, C]`; features of
    the degraded image, `[B, H, W, 32]`; and the number of the size, 0 for the smallest. Returns `[B, h, w, C]`.

    Args:
        architecture: the sizes.
    """

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        self.joinings = [
            TextureJoining(count, factor, INPUT_CHANNELS, architecture.version == 1, name=f"{self.name}.Level_{factor}")
            for factor, count in zip(architecture.factors[::-1], architecture.channels[::-1])
        ]

    def call(self, features: tf.Tensor, input_features: tf.Tensor, position: int) -> tf.Tensor:
        return features + self.joinings[position](features, input_features, None)[0]


class InputAwareHead(keras.layers.Layer):
    """The last step of version 1: normalization and swish, then a 3x3 convolution of the result and the degraded image.

    Call with `(features, images)`, `[B, H, W, C]` and `[B, H, W, 3]`. Returns the restored images `[B, H, W, 3]`. This
    follows the released code; the paper does not mention it.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.norm = Chain([GroupNormSwish(name=f"{self.name}.conv_out_1.0")], name=f"{self.name}.conv_out_1")
        self.conv = Convolution(3, name=f"{self.name}.conv_out.0")

    @recomputable
    def call(self, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        return self.conv(tf.concat([self.norm(features), images], axis=-1))
