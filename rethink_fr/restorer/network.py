"""The stochastic restorer: an encoder, quantized skip connections, and a decoder modulated by noise."""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import AdaptiveLatentGate, ModulatedConv2D, StyleBlock, VectorQuantizer
from rethink_fr.layers.attention_pooling import AttentionPooling
from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedConv2D, leaky_relu
from rethink_fr.layers.fusion import LinearGatedFusion, SpatialFeatureTransform
from rethink_fr.layers.parts import in_parts
from rethink_fr.layers.quantizer import CodebookUsage
from rethink_fr.layers.residual import ResBlock

# Channels of the features at each resolution: Tables 4 and 5 of "Rethinking Deep Face Restoration". Channels belong to
# resolutions: a network for smaller images uses the entries of their sizes. 1024 is our reading: half of 512's.
ENCODER_CHANNELS = {512: 16, 256: 32, 128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512}
DECODER_CHANNELS = {1024: 16, 512: 32, 256: 64, 128: 128, 64: 256, 32: 512, 16: 512, 8: 512}
FUSIONS = ("lgf", "add", "concat", "sft")


class Restoration(NamedTuple):
    """What a `Restorer` returns for images `[B, R, R, 3]`."""

    image: tf.Tensor  # [B, R, R, 3], nominally in [-1, 1] but not clipped: the losses must see what is outside
    commitment_loss: tf.Tensor  # scalar, the sum over the quantizers of all skips; 0 without quantization


class Encoded(NamedTuple):
    """What `Restorer.encode` returns for images `[B, R, R, 3]`: all that `decode` needs beside the noise."""

    images: tf.Tensor
    bottom: tf.Tensor  # [B, 4, 4, C], the encoder's last feature, from which the decoder starts
    latent: tf.Tensor  # [B, C]
    carried: Tuple[tf.Tensor, ...]  # [B, h, h, C] for each skip, quantized
    commitment_loss: tf.Tensor  # scalar


class Encoding(NamedTuple):
    """What an `Encoder` returns for images `[B, R, R, 3]`."""

    features: Tuple[tf.Tensor, ...]  # [B, h, h, C], one for each resolution h from R / 2 down to 4
    latent: tf.Tensor  # [B, C]: the last feature, pooled


class Encoder(keras.Model):
    """A ResBlock for each resolution down to 4x4, then attention pooling.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Table 4 and Fig. 2.

    Call with images, float32 `[B, R, R, 3]` RGB in [-1, 1]. Returns an `Encoding`.

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: multiplies all numbers of channels.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.resolutions = encoder_resolutions(resolution)
        self.blocks = [
            ResBlock(scaled(ENCODER_CHANNELS[side], width), name=f"block_{side}") for side in self.resolutions
        ]
        self.pooling = AttentionPooling()

    def call(self, images: tf.Tensor) -> Encoding:
        features = []
        current = images
        for block in self.blocks:
            current = block(current)
            features.append(current)
        return Encoding(tuple(features), self.pooling(current))


class SkipBlock(keras.layers.Layer):
    """Carries one feature of the encoder over to the decoder.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Fig. 2. The feature is quantized, then convolved by a
    3x3 kernel that the skip's noise modulates, and fused with the decoder's feature. That the convolution also brings
    it to the decoder's number of channels is our reading of "Modulation" in the figure.

    Call with `(encoder_features, decoder_features, style)`: `[B, h, h, C]`, `[B, h, h, filters]` and `[B, S]`. Returns
    the fused features `[B, h, h, filters]`, which replace the decoder's, and the commitment loss, a scalar.

    Args:
        filters: number of the decoder's channels.
        quantizer: quantizes the encoder's features; None leaves them as they are (the ablation of Table 3).
        fusion: "lgf" for linear gated fusion, "add" for the sum, "concat" for a 1x1 convolution of both (our reading
            of the baseline), "sft" for the spatial feature transform.

    Raises:
        ValueError: if `fusion` is none of these.
    """

    def __init__(self, filters: int, quantizer: Optional[VectorQuantizer], fusion: str = "lgf", **kwargs) -> None:
        super().__init__(**kwargs)
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is {fusion!r}, expected one of {', '.join(FUSIONS)}")
        self.quantizer = quantizer
        self.fusion = fusion
        self.modulation = ModulatedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        if fusion == "lgf":
            self.gate = LinearGatedFusion()
        elif fusion == "sft":
            self.transform = SpatialFeatureTransform(filters)
        elif fusion == "concat":
            self.merge = EqualizedConv2D(filters, 1)

    def call(
        self, encoder_features: tf.Tensor, decoder_features: tf.Tensor, style: tf.Tensor
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        quantized, commitment_loss = self.quantize(encoder_features)
        return self.fuse(quantized, decoder_features, style), commitment_loss

    def quantize(self, encoder_features: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """The encoder's features as the decoder gets them, in the same shape, and the commitment loss."""
        if self.quantizer is None:
            return encoder_features, tf.zeros([], tf.float32)
        quantized, commitment_loss, _ = self.quantizer(encoder_features)
        return quantized, commitment_loss

    def fuse(self, quantized: tf.Tensor, decoder_features: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
        """The fused features, from what `quantize` returned."""
        carried = leaky_relu(self.modulation(quantized, style))
        if self.fusion == "lgf":
            fused = self.gate(carried, decoder_features)
        elif self.fusion == "sft":
            fused = self.transform(carried, decoder_features)
        elif self.fusion == "add":
            fused = decoder_features + carried
        else:
            fused = self.merge(tf.concat([carried, decoder_features], axis=-1))
        return fused


class Restorer(keras.Model):
    """Restores degraded faces: a U-Net with vector-quantized skips, and a decoder that noise modulates.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), section 3. Nothing random happens inside: different
    noise gives different restorations of the same image.

    Call with `(images, noise)`:
        images: degraded, float32 `[B, R, R, 3]` RGB in [-1, 1].
        noise: float32 `[B, *noise_shape]`, drawn from N(0, 1): one vector for the decoder and one for each skip; then,
            with `pixel_noise`, the noise maps of the StyleBlocks, in rows of the same length. None means zeros.
    Returns a `Restoration`.

    Example:
        >>> restorer = Restorer(resolution=64, width=0.25, n_skips=3)
        >>> noise = tf.random.normal([8, *restorer.noise_shape])
        >>> restored = restorer(tf.zeros([8, 64, 64, 3]), noise)
        >>> restored.image.shape
        TensorShape([8, 64, 64, 3])

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: multiplies all numbers of channels (Table 3 uses 0.5).
        n_skips: number of skips, at 8x8, 16x16, ... (Table 6); 0 to log2(R) - 3.
        codebook_size: number of codes of each skip (1024 is our reading).
        fusion: "lgf", "add", "concat" or "sft"; see `SkipBlock` (Table 3).
        quantize: whether the skips are quantized (Table 3).
        noise: whether the noise has an effect (Table 3). If False, it is replaced by zeros.
        codebook_decay, codebook_reseed_after: see `VectorQuantizer`.
        pixel_noise: whether the StyleBlocks get noise for each pixel too; see `PixelNoise`. Not in the paper.
        residual: whether the decoder sees the degraded image, reduced to the size of each StyleBlock, and its result is
            added to it. What is certain then needs no codes. Not in the paper.
        gate_bias: see `AdaptiveLatentGate`. Not in the paper.

    Raises:
        ValueError: if an argument, or the static shape of the images or the noise, is not valid.
    """

    def __init__(
        self,
        resolution: int = 512,
        width: float = 1.0,
        n_skips: int = 4,
        codebook_size: int = 1024,
        fusion: str = "lgf",
        quantize: bool = True,
        noise: bool = True,
        codebook_decay: float = 0.99,
        codebook_reseed_after: int = 200,
        pixel_noise: bool = False,
        residual: bool = False,
        gate_bias: float = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.resolution = resolution
        self.use_noise = noise
        self.skip_resolutions = skip_resolutions(resolution, n_skips)
        self.residual = residual
        style_size = scaled(ENCODER_CHANNELS[4], width)
        self.noise_maps = decoder_resolutions(resolution) if pixel_noise else []
        map_rows = math.ceil(sum(2 * side * side for side in self.noise_maps) / style_size)
        self.noise_shape = (1 + n_skips + map_rows, style_size)
        self.encoder = Encoder(resolution, width, name="encoder")
        self.gate = AdaptiveLatentGate(gate_bias, name="latent_gate")
        self.style_blocks = [
            StyleBlock(scaled(DECODER_CHANNELS[side], width), pixel_noise, name=f"style_block_{side}")
            for side in decoder_resolutions(resolution)
        ]
        self.skip_blocks = []
        for position, side in enumerate(self.skip_resolutions):
            quantizer = None
            if quantize:
                code_size = scaled(ENCODER_CHANNELS[side], width)
                quantizer = VectorQuantizer(
                    codebook_size, code_size, codebook_decay, reseed_after=codebook_reseed_after, seed=position
                )
            filters = scaled(DECODER_CHANNELS[side], width)
            self.skip_blocks.append(SkipBlock(filters, quantizer, fusion, name=f"skip_block_{side}"))
        self.to_rgb = ModulatedConv2D(3, 1, demodulate=False, name="to_rgb")

    def call(self, images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> Restoration:
        self._check_images(images)
        return self.decode(self.encode(images), noise)

    def encode(self, images: tf.Tensor) -> Encoded:
        """The part that the noise has no effect on: once for several restorations of the same images `[B, R, R, 3]`."""
        encoding = self.encoder(images)
        carried, commitment_losses = [], [tf.zeros([])]
        for position, skip_block in enumerate(self.skip_blocks):
            # encoding.features ends 16, 8, 4: the skip of position 0 takes the 8x8 one.
            features, commitment_loss = skip_block.quantize(encoding.features[-2 - position])
            carried.append(features)
            commitment_losses.append(commitment_loss)
        return Encoded(images, encoding.features[-1], encoding.latent, tuple(carried), tf.add_n(commitment_losses))

    def decode(self, encoded: Encoded, noise: Optional[tf.Tensor] = None) -> Restoration:
        """The restoration of encoded images with this noise, `[B, *noise_shape]`."""
        styles, maps = self._split(encoded.latent, noise)  # [B, 1 + n_skips, C], a map [B, h, h, 2] for each block
        features = encoded.bottom
        seen = self._seen(encoded.images)
        for position, style_block in enumerate(self.style_blocks):
            features = style_block(features, styles[:, 0], maps[position] if maps else None, seen[position])
            if position < len(self.skip_blocks):
                skip_block, carried = self.skip_blocks[position], encoded.carried[position]
                features = skip_block.fuse(carried, features, styles[:, 1 + position])
        image = self.to_rgb(features, styles[:, 0])
        return Restoration(encoded.images + image if self.residual else image, encoded.commitment_loss)

    @property
    def codebooks(self) -> List[tf.Variable]:
        """The codebooks of all skips."""
        return [block.quantizer.codebook for block in self.skip_blocks if block.quantizer is not None]

    def update_codebooks(self, clean: tf.Tensor, parts: int = 1) -> Tuple[CodebookUsage, ...]:
        """Move all codebooks towards the features of clean images `[B, R, R, 3]` (section 3.1.2).

        Call it once in a training step, in replica context. No gradient flows. Returns the usage of each codebook. The
        images pass through the encoder in `parts`, see `in_parts`.
        """
        quantizers = [block.quantizer for block in self.skip_blocks if block.quantizer is not None]
        if not quantizers:
            return ()
        features = in_parts(self.encoder, parts, clean).features
        return tuple(quantizer.update(features[-2 - position]) for position, quantizer in enumerate(quantizers))

    def _split(self, latent: tf.Tensor, noise: Optional[tf.Tensor]) -> Tuple[tf.Tensor, List[tf.Tensor]]:
        """The styles, which the latent vector gates, and the noise maps."""
        rows, size = self.noise_shape
        if noise is None or not self.use_noise:
            noise = tf.zeros([tf.shape(latent)[0], rows, size], latent.dtype)
        noise = tf.convert_to_tensor(noise, latent.dtype)
        if not noise.shape[1:].is_compatible_with([rows, size]):
            raise ValueError(f"Restorer: noise is {noise.shape}, expected [B, {rows}, {size}]")
        sites = 1 + len(self.skip_blocks)
        flat, maps, start = tf.reshape(noise[:, sites:], [-1, (rows - sites) * size]), [], 0
        for side in self.noise_maps:
            count = 2 * side * side
            maps.append(tf.reshape(flat[:, start : start + count], [-1, side, side, 2]))
            start += count
        return self.gate(latent, noise[:, :sites]), maps

    def _seen(self, images: tf.Tensor) -> List[Optional[tf.Tensor]]:
        """What each StyleBlock sees of the images: nothing, or their means over its pixels."""
        if not self.residual:
            return [None] * len(self.style_blocks)
        sides = decoder_resolutions(self.resolution)
        factors = [self.resolution // side for side in sides]
        return [tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images for factor in factors]

    def _check_images(self, images: tf.Tensor) -> None:
        expected = [None, self.resolution, self.resolution, 3]
        if not images.shape.is_compatible_with(expected):
            raise ValueError(
                f"Restorer: images are {images.shape}, expected [B, {self.resolution}, {self.resolution}, 3]; "
                "resize them first"
            )


def encoder_resolutions(resolution: int) -> List[int]:
    """Resolutions of the encoder's features for images of `resolution` pixels: half of it, a quarter, ... 4."""
    check_resolution(resolution)
    return [side for side in ENCODER_CHANNELS if side < resolution]


def decoder_resolutions(resolution: int) -> List[int]:
    """Resolutions of the decoder's features for images of `resolution` pixels: 8, 16, ... that of the images."""
    check_resolution(resolution)
    return sorted(side for side in DECODER_CHANNELS if side <= resolution)


def skip_resolutions(resolution: int, n_skips: int) -> List[int]:
    """Resolutions of the skips: the lowest `n_skips` of the decoder's, that of the images excepted.

    Raises:
        ValueError: if there are fewer.
    """
    possible = [side for side in decoder_resolutions(resolution) if side < resolution]
    if not 0 <= n_skips <= len(possible):
        raise ValueError(f"n_skips is {n_skips}, expected 0 to {len(possible)} for a {resolution} px network")
    return possible[:n_skips]


def scaled(channels: int, width: float) -> int:
    """Number of channels times `width`, rounded, at least 1."""
    return max(1, round(channels * width))


def check_resolution(resolution: int) -> None:
    """Raise a ValueError unless `resolution` is a power of two from 32 to 1024."""
    if resolution not in (32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution is {resolution}, expected a power of two from 32 to 1024")
