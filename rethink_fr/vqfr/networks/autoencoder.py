"""The two halves of the autoencoder: the encoder, and the texture decoder.

Both are a row of stages, one for each size of the features. For each version one function makes a stage: versions
differ in the layers of a stage and in their names in the released code.
"""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.vqfr.networks.architecture import Architecture
from rethink_fr.vqfr.networks.blocks import Attention, BilinearDown, BilinearUp, NearestUp, ResidualBlock, StridedDown
from rethink_fr.vqfr.networks.convolution import Convolution, Stage, norm_swish_convolution

_Layers = List[keras.layers.Layer]
# Name of the shortcut of a residual block in the released code of each version.
SHORTCUT_NAMES = {1: "shortcut_conv", 2: "residual_func"}


class Encoder(keras.layers.Layer):
    """Turns images `[B, H, W, 3]` into features `[B, H / f, W / f, C]`; one code stands for f x f pixels.

    Version 1 has two residual blocks at each size, and C is the number of channels at the last size. Version 2 adds
    attention at the last size, then a residual, an attention and a residual block; there C is the length of a code.

    Args:
        architecture: the sizes.
    """

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        name, channels, factors = self.name, architecture.channels, architecture.factors
        self.conv_in = Convolution(channels[0], name=f"{name}.conv_in")
        self.stages: _Layers = []
        if architecture.version == 1:
            for factor, count in zip(factors, channels):
                down = ("pre_downsample_dict", BilinearDown) if factor > 1 else None
                self.stages += _plain_stage(name, factor, count, 2, down)
            self.conv_out = norm_swish_convolution(channels[-1], f"{name}.enc_convout_dict.Level_{factors[-1]}")
        else:
            for level, count in enumerate(channels):
                last = level == len(channels) - 1
                down = StridedDown(channels[level - 1], name=f"{name}.blocks.{level}.0") if level > 0 else None
                self.stages += _attentive_stage(f"{name}.blocks.{level}", count, down, attention=last)
            self.stages.append(_middle(f"{name}.mid_blocks", channels[-1]))
            self.conv_out = norm_swish_convolution(architecture.code_size, f"{name}.conv_out")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        features = self.conv_in(images)
        for stage in self.stages:
            features = stage(features)
        return self.conv_out(features)


class TextureDecoder(keras.layers.Layer):
    """Turns quantized features `[B, h, w, C]` into features at every size, and the last ones into the texture image.

    Version 1 has three residual blocks at each size. Version 2 has two; it starts with a residual, an attention and a
    residual block, and has attention at the first size.

    A call returns a tuple of features, smallest size first: `[B, h, w, C]`, ..., `[B, H, W, C']`. `to_image` turns the
    last into an image `[B, H, W, 3]`, nominally in [-1, 1], not clipped.

    Args:
        architecture: the sizes.
    """

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        name = self.name
        channels, factors = architecture.channels[::-1], architecture.factors[::-1]
        self.entry: _Layers = []
        self.stages: List[_Layers] = []
        if architecture.version == 1:
            for level, (factor, count) in enumerate(zip(factors, channels)):
                up = ("pre_upsample_dict", BilinearUp) if level > 0 else None
                self.stages.append(_plain_stage(name, factor, count, 3, up))
        else:
            self.entry = [Convolution(channels[0], name=f"{name}.conv_in"), _middle(f"{name}.mid_blocks", channels[0])]
            for level, count in enumerate(channels):
                up = NearestUp(channels[level - 1], name=f"{name}.blocks.{level}.0") if level > 0 else None
                self.stages.append(_attentive_stage(f"{name}.blocks.{level}", count, up, attention=level == 0))
        self.to_image = norm_swish_convolution(3, f"{name}.conv_out")

    @property
    def last_kernel(self) -> tf.Variable:
        """Kernel of the convolution that makes the texture image."""
        return self.to_image.links[-1].kernel

    def call(self, features: tf.Tensor) -> Tuple[tf.Tensor, ...]:
        return self.decode(features)

    def decode(
        self, features: tf.Tensor, join: Optional[Callable[[int, tf.Tensor], tf.Tensor]] = None
    ) -> Tuple[tf.Tensor, ...]:
        """As a call, but `join` changes the features of each size on their way: it gets their number and them."""
        for layer in self.entry:
            features = layer(features)
        levels = []
        for position, stage in enumerate(self.stages):
            for layer in stage:
                features = layer(features)
            if join is not None:
                features = join(position, features)
            levels.append(features)
        return tuple(levels)


def _plain_stage(
    part: str,
    factor: int,
    channels: int,
    blocks: int,
    resample: Optional[Tuple[str, Callable[..., keras.layers.Layer]]],
) -> _Layers:
    """The layers of one size in version 1: resampling to this size, then residual blocks."""
    stage: _Layers = []
    if resample is not None:
        group, make = resample
        stage.append(make(channels, name=f"{part}.{group}.Level_{factor}"))
    name = f"{part}.{part}_dict.Level_{factor}"
    stage.append(Stage([ResidualBlock(channels, name=f"{name}.{number}") for number in range(blocks)], name=name))
    return stage


def _attentive_stage(name: str, channels: int, resample: Optional[keras.layers.Layer], attention: bool) -> _Layers:
    """The layers of one size in version 2: resampling to this size, then twice a residual block and maybe attention."""
    links = [] if resample is None else [resample]
    for _ in range(2):
        links.append(ResidualBlock(channels, SHORTCUT_NAMES[2], name=f"{name}.{len(links)}"))
        if attention:
            links.append(Attention(name=f"{name}.{len(links)}"))
    return [Stage(links, name=name)]


def _middle(name: str, channels: int) -> Stage:
    """Version 2: a residual block, attention and another residual block, at the size of the codes."""
    first, last = (ResidualBlock(channels, SHORTCUT_NAMES[2], name=f"{name}.{number}") for number in (0, 2))
    return Stage([first, Attention(name=f"{name}.1"), last], name=name)
