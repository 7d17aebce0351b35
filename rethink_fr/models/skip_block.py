"""The stochastic skip block: quantize, modulate by noise, fuse into the decoder."""

from __future__ import annotations

from typing import Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import EqualizedConv2D, LinearGatedFusion, ModulatedConv2D, VectorQuantizer
from rethink_fr.layers.equalized import ACTIVATION_GAIN, leaky_relu

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
