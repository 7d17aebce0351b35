"""The stochastic restorer."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import AdaptiveLatentGate, ModulatedConv2D, StyleBlock, VectorQuantizer
from rethink_fr.layers.attention_pooling import AttentionPooling
from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedConv2D, leaky_relu
from rethink_fr.layers.fusion import LinearGatedFusion
from rethink_fr.layers.quantizer import CodebookUsage
from rethink_fr.layers.residual import ResBlock
from rethink_fr.restorer.channels import (
    DECODER_CHANNELS,
    ENCODER_CHANNELS,
    decoder_resolutions,
    encoder_resolutions,
    scaled,
    skip_resolutions,
)


class Restoration(NamedTuple):
    """What the restorer returns."""

    image: tf.Tensor  # [B, R, R, 3], nominally [-1, 1], not clipped (the losses must see overshoot)
    commitment_loss: tf.Tensor  # scalar, mean over the skips' quantizers; 0 without quantization


class Encoding(NamedTuple):
    """What the encoder returns."""

    features: Tuple[tf.Tensor, ...]  # one [B, h, h, C_enc(h)] per octave, h = R / 2 first, 4 last
    latent: tf.Tensor  # [B, C_enc(4)]


class Encoder(keras.Model):
    """One ResBlock an octave down to 4x4, then attention pooling.

    "Rethinking Deep Face Restoration", Table 4 and Fig. 2.

    Call with images float32 `[B, R, R, 3]` in [-1, 1]; returns an `Encoding`.

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: factor on every number of channels.
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


FUSIONS = ("lgf", "add", "concat")


class SkipBlock(keras.layers.Layer):
    """Carries one encoder feature over to the decoder.

    "Rethinking Deep Face Restoration", Fig. 2: vector quantization of the encoder feature; a 3x3 convolution
    modulated by this skip's conditional noise, which also brings it to the decoder's channels (our reading of
    "Modulation" in the figure); fusion with the decoder feature, which the result replaces.

    Call with `(encoder_features, decoder_features, style)`: `[B, h, h, C_enc]`, `[B, h, h, C_dec]`, `[B, S]`.
    Returns the fused feature `[B, h, h, C_dec]` and the scalar commitment loss (0 without quantizer).

    Args:
        filters: C_dec(h).
        quantizer: of C_enc(h)-vectors, or None to let the feature pass unquantized (Table 3's ablation).
        fusion: "lgf"; "add" (q + p); "concat" (1x1 convolution of both, our reading of the baseline).
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
        elif fusion == "concat":
            self.merge = EqualizedConv2D(filters, 1)

    def call(
        self, encoder_features: tf.Tensor, decoder_features: tf.Tensor, style: tf.Tensor
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        commitment_loss = tf.zeros([], tf.float32)
        if self.quantizer is not None:
            encoder_features, commitment_loss, _ = self.quantizer(encoder_features)
        carried = leaky_relu(self.modulation(encoder_features, style))
        if self.fusion == "lgf":
            fused = self.gate(carried, decoder_features)
        elif self.fusion == "add":
            fused = decoder_features + carried
        else:
            fused = self.merge(tf.concat([carried, decoder_features], axis=-1))
        return fused, commitment_loss


class Restorer(keras.Model):
    """U-Net with vector-quantized skip connections and a decoder modulated by conditional noise.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), section 3.

    Call with `(images, noise)`:
        images: degraded, float32 `[B, R, R, 3]` RGB in [-1, 1].
        noise:  float32 `[B, *noise_shape]` drawn from N(0, 1), one vector for the decoder and one for each skip block;
                None means zeros, the deterministic answer. Nothing random happens inside.
    Returns a `Restoration`.

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: factor on every number of channels (Table 3 uses 0.5).
        n_skips: number of skip blocks, at 8x8, 16x16, ... (Table 6); 0 to log2(R) - 3.
        codebook_size: codes of each skip's codebook (our reading: 1024).
        fusion: "lgf", "add" or "concat" (Table 3).
        quantize: quantize the skips (Table 3).
        noise: modulate by conditional noise (Table 3); if False the noise given is ignored, as if it were zero.
        codebook_decay, codebook_reseed_after: see `VectorQuantizer`.

    Raises:
        ValueError: if an argument, or the static shape of the images, does not fit.
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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.resolution = resolution
        self.use_noise = noise
        self.skip_resolutions = skip_resolutions(resolution, n_skips)
        self.noise_shape = (1 + n_skips, scaled(ENCODER_CHANNELS[4], width))
        self.encoder = Encoder(resolution, width, name="encoder")
        self.gate = AdaptiveLatentGate(name="latent_gate")
        self.style_blocks = [
            StyleBlock(scaled(DECODER_CHANNELS[side], width), name=f"style_block_{side}")
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
        encoding = self.encoder(images)
        styles = self._styles(encoding.latent, noise)  # [B, 1 + n_skips, C]
        features = encoding.features[-1]
        commitment_losses = []
        for position, style_block in enumerate(self.style_blocks):
            features = style_block(features, styles[:, 0])
            if position < len(self.skip_blocks):
                # encoding.features ends 16, 8, 4: the skip of position 0 takes the 8x8 one.
                features, commitment_loss = self.skip_blocks[position](
                    encoding.features[-2 - position], features, styles[:, 1 + position]
                )
                commitment_losses.append(commitment_loss)
        image = self.to_rgb(features, styles[:, 0])
        commitment_loss = tf.add_n(commitment_losses) / len(commitment_losses) if commitment_losses else tf.zeros([])
        return Restoration(image, commitment_loss)

    def update_codebooks(self, clean: tf.Tensor) -> Tuple[CodebookUsage, ...]:
        """Move every codebook towards the features of ground-truth images `[B, R, R, 3]` (section 3.1.2).

        No gradient flows. Call it in replica context, once a training step. Returns the usage of each codebook.
        """
        quantizers = [block.quantizer for block in self.skip_blocks if block.quantizer is not None]
        if not quantizers:
            return ()
        features = self.encoder(clean).features
        return tuple(quantizer.update(features[-2 - position]) for position, quantizer in enumerate(quantizers))

    def _styles(self, latent: tf.Tensor, noise: Optional[tf.Tensor]) -> tf.Tensor:
        sites, size = self.noise_shape
        if noise is None or not self.use_noise:
            return tf.zeros([tf.shape(latent)[0], sites, size], latent.dtype)
        noise = tf.convert_to_tensor(noise, latent.dtype)
        if not noise.shape[1:].is_compatible_with([sites, size]):
            raise ValueError(f"Restorer: noise is {noise.shape}, expected [B, {sites}, {size}]")
        return self.gate(latent, noise)

    def _check_images(self, images: tf.Tensor) -> None:
        expected = [None, self.resolution, self.resolution, 3]
        if not images.shape.is_compatible_with(expected):
            raise ValueError(
                f"Restorer: images are {images.shape}, expected [B, {self.resolution}, {self.resolution}, 3]; "
                "resize them first"
            )
