"""The codebook, and how features are replaced by its codes: by the nearest one, or by a predicted one."""

from __future__ import annotations

from typing import NamedTuple, Optional

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.precision import exact_product
from rethink_fr.vqfr.networks.convolution import Convolution, initial_weights

COMMITMENT_WEIGHT = 1.0
CODEBOOK_WEIGHT = 0.25


class CodeSelection(NamedTuple):
    """The codes that replace features `[B, h, w, C]`."""

    quantized: tf.Tensor  # [B, h, w, D]: the input of the texture decoder
    indices: tf.Tensor  # int32 [B, h, w]: the number of each code
    features: tf.Tensor  # [B, h, w, code_size]: what the codes were chosen by
    codes: tf.Tensor  # [B, h, w, code_size]: the codes themselves
    loss: Optional[tf.Tensor] = None  # scalar, the codebook loss of stage 1; None if codes are predicted
    logits: Optional[tf.Tensor] = None  # [B, h, w, codebook_size]; None unless codes are predicted


class Codebook(keras.layers.Layer):
    """A table of codes that is learned by gradients. Replaces each feature by its nearest code.

    Van den Oord et al. 2017 (arXiv:1711.00937), with two differences that are in the released code of VQFR: codes start
    from a uniform distribution in +-1 / codebook_size, and of the two terms of the loss
    `mean ||sg(e) - z||^2 + 0.25 mean ||e - sg(z)||^2` the one that moves the codes e has the small weight.

    Call with features z, float32 `[B, h, w, code_size]`. Returns the `CodeSelection` of the codes with the smallest
    Euclidean distance; if several have the same, the first. The gradient of `quantized` goes straight to the features.
    With `quantize=False`, as version 1 starts its training, `quantized` is the features themselves and the loss is 0,
    but indices and codes are those of the nearest codes all the same.

    Args:
        codebook_size: number of codes.
        code_size: length of each code.

    Raises:
        ValueError: if the features have another number of channels.
    """

    def __init__(self, codebook_size: int, code_size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.codebook_size = codebook_size
        self.code_size = code_size
        limit = 1.0 / codebook_size
        self.codebook = self.add_weight(
            name="codebook",
            shape=[codebook_size, code_size],
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )

    def call(self, features: tf.Tensor, quantize: bool = True) -> CodeSelection:
        if features.shape[-1] != self.code_size:
            raise ValueError(f"Codebook: features have {features.shape[-1]} channels, the codes {self.code_size}")
        indices = self.nearest(features)
        codes = self.lookup(indices)
        if not quantize:
            return CodeSelection(features, indices, features, codes, tf.zeros([], features.dtype))
        to_features = tf.reduce_mean(tf.math.squared_difference(tf.stop_gradient(codes), features))
        to_codes = tf.reduce_mean(tf.math.squared_difference(codes, tf.stop_gradient(features)))
        loss = COMMITMENT_WEIGHT * to_features + CODEBOOK_WEIGHT * to_codes
        quantized = features + tf.stop_gradient(codes - features)
        return CodeSelection(quantized, indices, features, codes, loss)

    def nearest(self, features: tf.Tensor) -> tf.Tensor:
        """Numbers of the nearest codes, int32 `[B, h, w]`, for features `[B, h, w, code_size]`."""
        flat = tf.reshape(tf.stop_gradient(features), [-1, self.code_size])
        # Without ||z||^2, which is the same for every code.
        distances = tf.reduce_sum(tf.square(self.codebook), axis=1) - 2.0 * exact_product(flat, self.codebook)
        indices = tf.argmin(distances, axis=1, output_type=tf.int32)
        return tf.ensure_shape(tf.reshape(indices, tf.shape(features)[:3]), features.shape[:3])

    def lookup(self, indices: tf.Tensor) -> tf.Tensor:
        """The codes `[B, h, w, code_size]` with the numbers `indices`, int32 `[B, h, w]`."""
        return tf.gather(self.codebook, indices)


class ProjectedCodebook(keras.layers.Layer):
    """Version 1: a 1x1 convolution, the nearest codes, another 1x1 convolution.

    Call with `[B, h, w, channels]`. Returns a `CodeSelection`.

    Args:
        codebook_size: number of codes.
        code_size: length of each code.
        channels: number of channels of the features, before and after.
    """

    def __init__(self, codebook_size: int, code_size: int, channels: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.project_in = Convolution(code_size, 1, name=f"{self.name}.quant_conv")
        self.project_out = Convolution(channels, 1, name=f"{self.name}.post_quant_conv")
        self.codebook = Codebook(codebook_size, code_size, name=f"{self.name}.embedding")

    def call(self, features: tf.Tensor, quantize: bool = True) -> CodeSelection:
        selection = self.codebook(self.project_in(features), quantize)
        return selection._replace(quantized=self.project_out(selection.quantized))


class PredictedCodes(keras.layers.Layer):
    """Version 2: the code at each position is predicted from its feature, by layer normalization and a dense layer.

    Call with `[B, h, w, code_size]`. Returns a `CodeSelection`. `quantized` has no gradient with respect to the
    features; they learn through `logits` and by coming close to `codes`.

    Args:
        codebook_size: number of codes.
        code_size: length of each code.
        codebook_name: name of the codebook in the released code.
    """

    def __init__(self, codebook_size: int, code_size: int, codebook_name: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name=f"{self.name}.0")
        self.to_logits = keras.layers.Dense(codebook_size, kernel_initializer=initial_weights(), name=f"{self.name}.1")
        self.codebook = Codebook(codebook_size, code_size, name=codebook_name)

    def call(self, features: tf.Tensor) -> CodeSelection:
        logits = self.to_logits(self.norm(features))
        indices = tf.argmax(logits, axis=-1, output_type=tf.int32)
        codes = self.codebook.lookup(indices)
        return CodeSelection(codes, indices, features, codes, logits=logits)
