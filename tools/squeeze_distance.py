"""Distance of restored faces in the features of an ImageNet network, by the arithmetic of LPIPS.

    python tools/squeeze_distance.py --weights FILE.npz --reference clean --restored degraded restored

LPIPS has learnt weights for each channel of its own networks; this one, SqueezeNet 1.0 (Iandola et al. 2016) in Caffe's
convention, has none, so every channel counts the same (1 / C): features at the five places where the map's size or the
modules' width changes, scaled to length 1 at each position, squared differences averaged over positions and channels.
It is a stand-in where the weights of LPIPS cannot be had; its numbers are comparable with each other only.

The file holds `conv1.weight`, `fire2.conv1x1_1.weight` and so on, OIHW. Folders are paired by name.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.evaluation.pairs import pair_by_name
from rethink_fr.losses.lpips import SCALE, SHIFT
from rethink_fr.metrics import lpips
from rethink_fr.metrics.bootstrap import mean_interval
from rethink_fr.pictures.files import read_image
from rethink_fr.weights.published_network import max_pool_ceil

_MEAN_BGR = (104.0, 117.0, 123.0)
_TAPPED = {1: 96, 3: 128, 5: 256, 7: 384, 9: 512}  # module -> channels


class SqueezeNet:
    """A `PerceptualNetwork`; modules 1 (the first convolution) to 9."""

    heads = [np.full(channels, 1.0 / channels) for channels in _TAPPED.values()]

    def __init__(self, weights: Dict[str, np.ndarray]) -> None:
        self._weights = weights

    def __call__(self, scaled: np.ndarray) -> List[np.ndarray]:
        levels = images.to_levels(tf.constant(scaled * SCALE + SHIFT, tf.float32))
        features = self._convolution("conv1", levels[..., ::-1] - tf.constant(_MEAN_BGR), 2, "VALID")
        taps = [features]
        for module in range(2, 10):
            if module in (2, 5, 9):
                features = max_pool_ceil(features, 3, 2)
            squeezed = self._convolution(f"fire{module}.conv1x1_1", features)
            expanded = [self._convolution(f"fire{module}.{name}", squeezed) for name in ("conv1x1_2", "conv3x3_2")]
            features = tf.concat(expanded, axis=-1)
            if module in _TAPPED:
                taps.append(features)
        return [tap.numpy() for tap in taps]

    def _convolution(self, name: str, features: tf.Tensor, strides: int = 1, padding: str = "SAME") -> tf.Tensor:
        kernel = np.transpose(self._weights[f"{name}.weight"], [2, 3, 1, 0])
        return tf.nn.relu(tf.nn.conv2d(features, kernel, strides, padding) + self._weights[f"{name}.bias"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--restored", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()

    network = SqueezeNet(dict(np.load(arguments.weights)))
    columns: Dict[str, List[float]] = {}
    for folder in arguments.restored:
        for pair in pair_by_name({"restored": folder, "reference": arguments.reference}):
            a, b = (images.to_model(read_image(pair[what])[None]) for what in ("restored", "reference"))
            columns.setdefault(str(folder), []).append(float(lpips(a, b, network)[0]))
    base = next(iter(columns.values()))
    for name, values in columns.items():
        low, high = mean_interval(values, seed=0)
        closer = np.mean(np.array(values) < np.array(base))
        mean = f"{np.mean(values):.4f} [{low:.4f}, {high:.4f}]"
        print(f"{name}: {mean}, {len(values)} images; below the first folder's on {closer:.0%}")


if __name__ == "__main__":
    main()
