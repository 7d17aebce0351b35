"""Losses on features against the released code, with weights by rule."""

import json

import numpy as np
import tensorflow as tf

from rethink_fr.losses.lpips import PerceptualDistance
from tests.vqfr.golden import rule_value

STYLE_WEIGHT = 2000  # is part of the stored values


def test_values_and_gradients_are_the_released_codes(shared):
    arrays = {}
    for name, shape in json.loads((shared / "golden/vqfr/state_dict_lpips_loss.json").read_text()):
        if name.startswith("lin"):
            arrays[name] = np.abs(rule_value(name, tuple(shape)))
        elif name.startswith("net."):
            factor = np.float32(np.sqrt(2)) if name.endswith("weight") else np.float32(1)
            arrays["features." + name.split(".", 2)[2]] = factor * rule_value(name, tuple(shape))
    network = PerceptualDistance(arrays)
    golden = np.load(shared / "golden/vqfr/golden_lpips.npz")

    def compute(dtype: tf.DType) -> tuple:
        restored, clean = (tf.constant(np.moveaxis(golden[name], 1, -1), dtype) for name in "xy")
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(restored)
            pair = network.features(clean), network.features(restored)
            distance, style = network.distance(*pair), STYLE_WEIGHT * network.style_distance(*pair)
        for value, name in ((distance, "perceptual"), (style, "style")):
            np.testing.assert_allclose(value, golden[name], rtol=0, atol=1e-6)
        return tape.gradient(distance, restored), tape.gradient(style, restored)

    expected = [np.moveaxis(golden[f"grad_{name}"], 1, -1) for name in ("perceptual", "style")]
    for ours, theirs in zip(compute(tf.float64), expected):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)
    for ours, theirs in zip(compute(tf.float32), expected):
        # In float32 a unit near 0 may change sides: then the gradient is another in the patch that it sees.
        assert np.quantile(np.abs(ours - theirs), 0.98) < 1e-8
        assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)
