"""The discriminators against values computed by the released code with weights by rule.

Tolerances are those of the reference's own notes: logits five to ten times what float32 was measured to cost there.
"""

from __future__ import annotations

import gc
from typing import Dict, Iterator, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr import images
from rethink_fr.layers.equalized import leaky_relu
from rethink_fr.vqfr import PatchDiscriminator, StyleDiscriminator, WaveletDiscriminator, load_torch_state
from rethink_fr.vqfr.networks.batch_norm import SyncBatchNorm
from rethink_fr.vqfr.published_weights import official_weights
from tests.vqfr.golden import noise_picture, rule_state, rule_value, smooth_picture

MAKE = {
    "swagan": (WaveletDiscriminator, "swagan_disc"),
    "patch_v1": (PatchDiscriminator, "patch_disc_v1"),
    "patch_v2": (lambda: PatchDiscriminator(layers=4), "patch_disc_v2"),
    "stylegan2": (StyleDiscriminator, "stylegan2_disc"),
}
LOGITS_TOLERANCE = {"eval": {"swagan": 1e-6, "stylegan2": 1e-6, "patch_v1": 5e-6, "patch_v2": 5e-6}}
LOGITS_TOLERANCE["train"] = {"patch_v1": 5e-5, "patch_v2": 5e-5}
# Measured: 1e-6 at most, in training 1.2e-5 (the batch's statistics divide by small numbers), of values up to 4.4.
ACTIVATION_TOLERANCE = {"eval": 5e-6, "train": 5e-5}


class Discriminated(NamedTuple):
    name: str
    network: keras.Model
    state: Dict[str, np.ndarray]


@pytest.fixture(scope="module", params=MAKE)
def discriminated(request, shared) -> Iterator[Discriminated]:
    make, file = MAKE[request.param]
    yield Discriminated(request.param, make(), rule_state(shared / f"golden/vqfr/state_dict_{file}.json"))
    gc.collect()


def pair_of_images() -> tf.Tensor:
    return images.to_model(np.stack([smooth_picture(), noise_picture()]))


def channels_first(tensor: tf.Tensor) -> np.ndarray:
    return np.moveaxis(np.asarray(tensor), -1, 1)


def record(network: keras.Model, pictures: tf.Tensor, **arguments) -> tuple[np.ndarray, Dict[str, np.ndarray]]:
    """Logits, and activations under the released code's names of modules."""
    recorded: Dict[str, np.ndarray] = {}
    call = keras.layers.Layer.__call__

    def recording(layer, inputs, *args, **kwargs):
        outputs = call(layer, inputs, *args, **kwargs)
        part, _, rest = layer.name.partition(".")
        number = rest.partition(".")[0]
        if part == "main":
            # The released code activates in place: what its first convolution and its norms are said to give is
            # already the activation, which is what the next convolution gets.
            activated = number == "0" or isinstance(layer, SyncBatchNorm)
            recorded[f"main.{number}"] = channels_first(leaky_relu(outputs) if activated else outputs)
            if not isinstance(layer, SyncBatchNorm) and number != "0":
                recorded[f"main.{int(number) - 1}"] = channels_first(inputs)
        elif part == "from_rgbs":
            recorded[f"from_rgbs.{number}#0"] = channels_first(inputs)
            recorded.setdefault("dwt", channels_first(inputs))
        elif part == "convs" and rest == number:
            recorded[f"from_rgbs.{number}#1"] = channels_first(inputs)
            recorded[f"convs.{number}"] = channels_first(outputs)
        elif layer.name == "conv_body.0.0.module":
            recorded["conv_body.0"] = channels_first(leaky_relu(outputs))
        elif part == "conv_body" and rest == number:
            recorded[f"conv_body.{number}"] = channels_first(outputs)
        elif type(layer).__name__ == "_Ending":
            recorded["from_rgbs.6#1"] = channels_first(inputs)
        elif layer.name == "final_conv.0.module":
            recorded["final_conv"] = channels_first(leaky_relu(outputs))
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Layer, "__call__", recording)
        logits = network(pictures, **arguments)
    return np.asarray(logits), recorded


def summary(planes: np.ndarray) -> Dict[str, np.ndarray]:
    rows, columns = (max(0, side // 2 - 4) for side in planes.shape[2:])
    return {
        "mean": planes.mean((2, 3), dtype=np.float64),
        "std": planes.std((2, 3), dtype=np.float64),
        "crop": planes[:, :4, rows : rows + 8, columns : columns + 8],
    }


def test_the_discriminators_give_the_released_codes_values(discriminated, shared):
    name, network, state = discriminated
    golden = np.load(shared / "golden/vqfr/golden_disc.npz")
    for mode, tolerances in LOGITS_TOLERANCE.items():
        if name not in tolerances:  # without batch normalization there is one mode
            continue
        arguments = {"training": mode == "train"} if name.startswith("patch") else {}
        for batch in ("A", "AB"):
            if f"{name}/{mode}/{batch}/logits" not in golden.files:
                continue
            load_torch_state(network, state)  # a call moves the vectors of the spectral norms
            logits, activations = record(network, pair_of_images()[: len(batch)], **arguments)
            expected = golden[f"{name}/{mode}/{batch}/logits"]
            expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
            error = np.abs(logits - expected).max()
            print(f"{name} {mode} {batch}: logits {error:.1e}")
            assert error < tolerances[name]

        prefix = f"{name}/{mode}/act/"
        wanted = {key[len(prefix) :].rpartition("/")[0] for key in golden.files if key.startswith(prefix)}
        errors = {
            f"{module}/{piece}": np.abs(value - golden[f"{prefix}{module}/{piece}"]).max()
            for module in wanted
            for piece, value in summary(activations[module]).items()
        }
        worst = max(errors, key=errors.__getitem__)
        print(f"{len(errors)} activations, worst {worst}: {errors[worst]:.1e}")
        assert {key: value for key, value in errors.items() if not value < ACTIVATION_TOLERANCE[mode]} == {}


def test_a_small_wavelet_discriminator_has_the_released_codes_gradients_and_r1(shared):
    golden = np.load(shared / "golden/vqfr/golden_disc.npz")
    network = WaveletDiscriminator(64)
    weights = official_weights(network)
    load_torch_state(network, {name: rule_value(name, weight.shape) for name, weight in weights.items()})
    pictures = tf.constant(np.moveaxis(golden["swagan64/x"], 1, -1))
    kernel = weights["final_conv.0.module.weight_bar"].variable
    with tf.GradientTape(persistent=True) as tape:  # all of one forward pass: a second one has other u and v
        tape.watch(pictures)
        logits = network(pictures)
        total = tf.reduce_sum(logits)
    at_images, at_kernel = tape.gradient(total, [pictures, kernel])
    r1 = np.mean(np.sum(np.square(at_images), axis=(1, 2, 3)))

    np.testing.assert_allclose(logits, golden["swagan64/logits"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(r1, golden["swagan64/r1"], rtol=1e-4)
    np.testing.assert_allclose(channels_first(at_images), golden["swagan64/grad_x"], rtol=0, atol=1e-8)
    first = np.transpose(at_kernel, [3, 2, 0, 1])[:4, :8]
    np.testing.assert_allclose(first, golden["swagan64/grad_final_conv_weight_bar_first4"], rtol=0, atol=1e-6)
