"""The networks whose features LPIPS compares: VGG-16, AlexNet and SqueezeNet 1.1, with torchvision's names."""

from __future__ import annotations

from typing import Dict, List, Literal, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf

from rethink_fr.losses.lpips import read_heads
from rethink_fr.losses.vgg16 import CHANNELS, vgg16
from rethink_fr.weights.published_network import Forward, Layers, load_network, max_pool, max_pool_ceil

Backbone = Literal["vgg", "alex", "squeeze"]

_CLASSIFIER = ("classifier.",)
_ANY_SIZE = (None, None, 3)


class LpipsNetwork:
    """A network trained on ImageNet, with the weights that LPIPS v0.1 gives its channels; for `metrics.lpips`.

    Zhang et al. 2018 (arXiv:1801.03924). Call with float32 `[B, H, W, 3]`, normalised, with sides of about 32 pixels or
    more; returns the feature maps `[B, h, w, C]` that LPIPS compares, none negative.

    Args:
        backbone: "vgg", "alex" or "squeeze".
        state: torchvision's name (`features.0.weight` and so on) to array in PyTorch's layout; entries of the
            classifier are ignored.
        heads: `lin0.model.1.weight` and so on to array of any shape, with a weight for each channel.
        sha256: of the two weight files, for reports.

    Raises:
        TorchStateError: if `state` or `heads` belong to something else.
    """

    def __init__(
        self, backbone: Backbone, state: Mapping[str, np.ndarray], heads: Mapping[str, np.ndarray], sha256: str
    ) -> None:
        description = BACKBONES[backbone]
        self.name = f"LPIPS v0.1 ({description.name})"
        self.sha256 = sha256
        self.heads: Sequence[np.ndarray] = read_heads(heads, description.channels)
        self._network = load_network(description.forward, _ANY_SIZE, state, _CLASSIFIER)

    def __call__(self, images: np.ndarray) -> List[np.ndarray]:
        return [maps.numpy() for maps in self._network(tf.constant(images, tf.float32))]


def alexnet(layers: Layers, images: tf.Tensor) -> List[tf.Tensor]:
    """AlexNet after its five ReLUs (Krizhevsky 2014, arXiv:1404.5997)."""
    taps = [tf.nn.relu(layers.convolution("features.0", images, 64, 11, strides=4, padding=2))]
    taps.append(tf.nn.relu(layers.convolution("features.3", max_pool(taps[-1], 3, 2), 192, 5, padding=2)))
    taps.append(tf.nn.relu(layers.convolution("features.6", max_pool(taps[-1], 3, 2), 384, 3, padding=1)))
    taps.append(tf.nn.relu(layers.convolution("features.8", taps[-1], 256, 3, padding=1)))
    taps.append(tf.nn.relu(layers.convolution("features.10", taps[-1], 256, 3, padding=1)))
    return taps


def squeezenet(layers: Layers, images: tf.Tensor) -> List[tf.Tensor]:
    """SqueezeNet 1.1 after its first ReLU and six of its fire modules (Iandola et al. 2016, arXiv:1602.07360)."""
    taps = [tf.nn.relu(layers.convolution("features.0", images, 64, 3, strides=2))]
    features = fire(layers, 3, max_pool_ceil(taps[-1], 3, 2), 16)
    taps.append(fire(layers, 4, features, 16))
    features = fire(layers, 6, max_pool_ceil(taps[-1], 3, 2), 32)
    taps.append(fire(layers, 7, features, 32))
    taps.append(fire(layers, 9, max_pool_ceil(taps[-1], 3, 2), 48))
    for position, squeezed in ((10, 48), (11, 64), (12, 64)):
        taps.append(fire(layers, position, taps[-1], squeezed))
    return taps


def fire(layers: Layers, position: int, features: tf.Tensor, squeezed: int) -> tf.Tensor:
    """A fire module: 1 x 1 to `squeezed` channels, then 1 x 1 and 3 x 3 side by side to four times as many each."""
    name = f"features.{position}"
    inner = tf.nn.relu(layers.convolution(f"{name}.squeeze", features, squeezed))
    small = layers.convolution(f"{name}.expand1x1", inner, 4 * squeezed)
    large = layers.convolution(f"{name}.expand3x3", inner, 4 * squeezed, 3, padding=1)
    return tf.nn.relu(tf.concat([small, large], axis=3))


class _Description(NamedTuple):
    name: str
    forward: Forward
    channels: Tuple[int, ...]  # of the maps


BACKBONES: Dict[Backbone, _Description] = {
    "vgg": _Description("VGG-16", vgg16, CHANNELS),
    "alex": _Description("AlexNet", alexnet, (64, 192, 384, 256, 256)),
    "squeeze": _Description("SqueezeNet 1.1", squeezenet, (64, 128, 256, 384, 384, 512, 512)),
}
