"""The skip block: quantize, modulate, fuse, in this order."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import VectorQuantizer
from rethink_fr.restorer.network import SkipBlock

ENCODER, DECODER, STYLE = 6, 10, 4  # channels


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inputs() -> tuple:
    """Encoder feature, decoder feature, style."""
    return normal(0, 2, 8, 8, ENCODER), normal(1, 2, 8, 8, DECODER), normal(2, 2, STYLE)


def block_with_codes(fusion: str = "lgf", quantize: bool = True) -> SkipBlock:
    block = SkipBlock(DECODER, VectorQuantizer(20, ENCODER) if quantize else None, fusion)
    block(*inputs())
    if quantize:
        block.quantizer.codebook.assign(normal(3, 20, ENCODER))
    return block


def quantized(block: SkipBlock, features: np.ndarray) -> np.ndarray:
    codes = block.quantizer.codebook.numpy()
    distances = np.sum((features[..., None, :] - codes) ** 2, axis=-1)
    return codes[distances.argmin(-1)]


def modulated(block: SkipBlock, features: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Demodulated 3x3 convolution with a kernel for each sample, bias 0, leaky ReLU."""
    layer, outputs = block.modulation, []
    gains = style @ layer.affine.kernel.numpy() / math.sqrt(STYLE) + 1
    for sample, gain in zip(features, gains):
        kernel = layer.kernel.numpy() * gain[:, None]
        kernel /= np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))
        outputs.append(tf.nn.leaky_relu(math.sqrt(2) * tf.nn.conv2d(sample[None], kernel, 1, "SAME")[0], 0.2))
    return np.stack(outputs)


def fused(block: SkipBlock, carried: np.ndarray, decoder: np.ndarray) -> np.ndarray:
    if block.fusion == "add":
        return decoder + carried
    if block.fusion == "concat":
        kernel = block.merge.kernel.numpy()[0, 0] / math.sqrt(2 * DECODER)
        return np.concatenate([carried, decoder], axis=-1) @ kernel
    total = (carried + decoder).reshape(2, 64, DECODER)
    gate = 1 / (1 + np.exp(-(block.gate.kernel.numpy() / 8) @ total)).reshape(decoder.shape)
    return gate * (carried + decoder) + (1 - gate) * decoder


@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("fusion", ["lgf", "add", "concat"])
def test_the_feature_is_quantized_then_modulated_then_fused(fusion, quantize):
    block = block_with_codes(fusion, quantize)
    encoder, decoder, style = inputs()
    output, loss = block(encoder, decoder, style)
    codes = quantized(block, encoder) if quantize else encoder
    # 2e-5: float32 sums of 54 products and then 64; measured 3e-6.
    np.testing.assert_allclose(output, fused(block, modulated(block, codes, style), decoder), atol=2e-5)
    expected_loss = np.mean((encoder - codes) ** 2)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)  # 0 without a quantizer


def test_only_the_code_passes_and_not_the_feature():
    block = block_with_codes()
    encoder, decoder, style = inputs()
    codes = quantized(block, encoder)
    output, _ = block(encoder, decoder, style)
    nearer, _ = block((codes + 0.5 * (encoder - codes)).astype(np.float32), decoder, style)
    np.testing.assert_allclose(output, nearer, atol=1e-5)  # roundings of features + (code - features)


def test_the_encoder_learns_through_the_codes():
    block = block_with_codes()
    encoder, decoder, style = (tf.constant(value) for value in inputs())
    with tf.GradientTape() as tape:
        tape.watch(encoder)
        output = block(encoder, decoder, style)[0]
    assert np.all(tape.gradient(output, encoder) != 0)


def test_modulation_brings_the_encoders_channels_to_the_decoders():
    block = block_with_codes()
    assert block.modulation.kernel.shape == [3, 3, ENCODER, DECODER]
    assert block.modulation.demodulate
    assert block.quantizer.code_size == ENCODER
    assert block(*inputs())[0].shape == [2, 8, 8, DECODER]


def test_the_style_acts():
    block = block_with_codes()
    encoder, decoder, style = inputs()
    assert np.abs(block(encoder, decoder, style)[0] - block(encoder, decoder, 0 * style)[0]).max() > 0.1


@pytest.mark.parametrize(
    ("fusion", "extra"), [("lgf", [64, 64]), ("add", None), ("concat", [1, 1, 2 * DECODER, DECODER])]
)
def test_each_fusion_has_its_own_weights_only(fusion, extra):
    block = block_with_codes(fusion, quantize=False)
    others = {id(weight) for weight in block.modulation.weights}
    kernels = [
        weight.shape.as_list() for weight in block.weights if id(weight) not in others and "bias" not in weight.name
    ]
    assert kernels == ([extra] if extra else [])


def test_an_unknown_fusion_is_an_error():
    with pytest.raises(ValueError, match="expected one of lgf, add, concat"):
        SkipBlock(4, None, "mean")
