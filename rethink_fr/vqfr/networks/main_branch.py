"""The main branch: the restored features, from the warped textures of every level."""

from __future__ import annotations

from typing import List, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import GroupNormSwish
from rethink_fr.vqfr.networks.architecture import Architecture
from rethink_fr.vqfr.networks.autoencoder import SHORTCUT_NAMES
from rethink_fr.vqfr.networks.convolution import Chain, Convolution
from rethink_fr.vqfr.networks.resampling import BilinearUp, NearestUp
from rethink_fr.vqfr.networks.residual import ResidualBlock
from rethink_fr.vqfr.networks.texture_warping import TextureWarping

INPUT_CHANNELS = 32


class MainBranch(keras.layers.Layer):
    """Warped textures, from the coarsest level to the finest, each joined to what came before by a residual block.

    "VQFR" (Gu et al., ECCV 2022), Fig. 3. The paper's supplement has a residual block at the coarsest level too; the
    released code has only the warping there.

    Call with `(textures, input_features)`: the texture decoder's tuple, coarsest first, and `[B, H, W, 32]`. Returns
    `[B, H, W, C]`, C the channels of the finest level.
    """

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        name, version = self.name, architecture.version
        channels, factors = architecture.channels[::-1], architecture.factors[::-1]
        self.warpings = [
            TextureWarping(
                count, factor, INPUT_CHANNELS, resize_conv=version == 1, name=f"{name}.align_func_dict.Level_{factor}"
            )
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
        for warping, up, block, texture in zip(self.warpings[1:], self.ups, self.blocks, textures[1:]):
            features = up(features)
            warped, offset_features = warping(texture, input_features, offset_features)
            features = block(tf.concat([features, warped], axis=-1))
        return features


class InputAwareHead(keras.layers.Layer):
    """Version 1's last step: normalization and swish, then a 3x3 convolution that sees the degraded image too.

    Call with `(features [B, H, W, C], images [B, H, W, 3])`; returns the restored images `[B, H, W, 3]`. The image is
    not added: what is written follows the released code, the paper does not state it.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.norm = Chain([GroupNormSwish(name=f"{self.name}.conv_out_1.0")], name=f"{self.name}.conv_out_1")
        self.conv = Convolution(3, name=f"{self.name}.conv_out.0")

    def call(self, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        return self.conv(tf.concat([self.norm(features), images], axis=-1))
