"""AWing: 98 facial landmarks by heat maps, the landmark network of VQFR's published evaluation ("LMD")."""

from __future__ import annotations

from typing import List, Optional

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import in_picture, resample, round_levels
from rethink_fr.evaluation.networks.picture_network import PictureNetwork
from rethink_fr.weights.published_network import Layers

SIDE = 256
LANDMARKS = 98
_HOURGLASSES = 4
_DEPTH = 4
_CHANNELS = 256
_BOUNDARY = 0.05  # a boundary value above this counts


def forward(layers: Layers, images: tf.Tensor) -> List[tf.Tensor]:
    """The network: from float32 `[B, 256, 256, 3]` in [0, 1] to heat maps `[B, 64, 64, 99]` of each hourglass.

    The last of the 99 maps shows the boundaries of the face's parts, the others show a landmark each.
    """
    features = layers.convolution("conv1.conv", with_coordinates(images), 64, 7, strides=2, padding=3)
    features = tf.nn.relu(layers.batch_norm("bn1", features))
    features = tf.nn.avg_pool2d(block(layers, "conv2", features, 128), 2, 2, "VALID")
    features = block(layers, "conv4", block(layers, "conv3", features, 128), _CHANNELS)
    heat_maps: List[tf.Tensor] = []
    for number in range(_HOURGLASSES):
        inputs = with_coordinates(features, heat_maps[-1] if heat_maps else None)
        outputs = layers.convolution(f"m{number}.coordconv.conv", inputs, _CHANNELS)
        outputs = block(layers, f"top_m_{number}", hourglass(layers, f"m{number}", outputs), _CHANNELS)
        outputs = layers.convolution(f"conv_last{number}", outputs, _CHANNELS)
        outputs = tf.nn.relu(layers.batch_norm(f"bn_end{number}", outputs))
        heat_maps.append(layers.convolution(f"l{number}", outputs, LANDMARKS + 1))
        if number < _HOURGLASSES - 1:
            features += layers.convolution(f"bl{number}", outputs, _CHANNELS)
            features += layers.convolution(f"al{number}", heat_maps[-1], _CHANNELS)
    return heat_maps


def hourglass(layers: Layers, name: str, features: tf.Tensor, level: int = _DEPTH) -> tf.Tensor:
    """Newell et al. 2016 (arXiv:1603.06937): halves the size, does the same again inside, doubles it, and adds."""
    beside = block(layers, f"{name}.b1_{level}", features, _CHANNELS)
    below = block(layers, f"{name}.b2_{level}", tf.nn.avg_pool2d(features, 2, 2, "VALID"), _CHANNELS)
    if level > 1:
        below = hourglass(layers, name, below, level - 1)
    else:
        below = block(layers, f"{name}.b2_plus_{level}", below, _CHANNELS)
    below = block(layers, f"{name}.b3_{level}", below, _CHANNELS)
    return beside + tf.repeat(tf.repeat(below, 2, axis=1), 2, axis=2)


def block(layers: Layers, name: str, features: tf.Tensor, filters: int) -> tf.Tensor:
    """Bulat and Tzimiropoulos 2017 (arXiv:1703.00862): adds the joined outputs of three convolutions to the input."""
    parts, outputs = [], features
    for number, width in enumerate((filters // 2, filters // 4, filters // 4), start=1):
        outputs = tf.nn.relu(layers.batch_norm(f"{name}.bn{number}", outputs))
        outputs = layers.convolution(f"{name}.conv{number}", outputs, width, 3, padding=1, bias=False)
        parts.append(outputs)
    if int(features.shape[3]) != filters:
        features = tf.nn.relu(layers.batch_norm(f"{name}.downsample.0", features))
        features = layers.convolution(f"{name}.downsample.2", features, filters, bias=False)
    return tf.concat(parts, axis=3) + features


def with_coordinates(features: tf.Tensor, heat_maps: Optional[tf.Tensor] = None) -> tf.Tensor:
    """Adds coordinates as channels: CoordConv (Liu et al. 2018, arXiv:1807.03247) in the form that AWing uses.

    Three channels are added: row and column, each from -1 to 1, and the distance from the centre, which is 1 in the
    corners. If heat maps `[B, H, W, N]` are given, two more follow: row and column again, but 0 wherever the last map,
    that of the boundaries, is at most 0.05. The authors call the first coordinate x, but it counts the picture's rows.
    """
    height, width = int(features.shape[1]), int(features.shape[2])
    rows, columns = tf.meshgrid(tf.linspace(-1.0, 1.0, height), tf.linspace(-1.0, 1.0, width), indexing="ij")
    radius = tf.sqrt(tf.square(rows) + tf.square(columns))
    channels = tf.stack([rows, columns, radius / tf.reduce_max(radius)], axis=2)[None]
    added = [tf.repeat(channels, tf.shape(features)[0], axis=0)]
    if heat_maps is not None:
        added.append(tf.where(heat_maps[..., -1:] > _BOUNDARY, channels[..., :2], 0.0))
    return tf.concat([features, *added], axis=3)


def decode(heat_maps: np.ndarray) -> np.ndarray:
    """The landmarks that heat maps show.

    A landmark is the centre of the pixel with the largest value, moved a quarter of a pixel towards the larger of its
    two neighbours, in each direction. Points on the border are not moved, as in AWing's own code. (VQFR's code looks
    across the border there, at a pixel of another row.)

    Args:
        heat_maps: `[B, H, W, L]`.

    Returns:
        float64 `[B, L, 2]`: (x, y) in pixels of the maps.
    """
    batch, height, width, count = heat_maps.shape
    flat = heat_maps.transpose(0, 3, 1, 2).reshape(-1, height, width)
    every = np.arange(len(flat))
    rows, columns = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), width)
    inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, height - 1)
    before, after = np.maximum(columns - 1, 0), np.minimum(columns + 1, width - 1)
    across = np.sign(flat[every, rows, after] - flat[every, rows, before])
    down = np.sign(flat[every, below, columns] - flat[every, above, columns])
    points = np.stack([columns + 0.25 * across * inside, rows + 0.25 * down * inside], axis=1) + 0.5
    return points.reshape(batch, count, 2)


class AWing(PictureNetwork):
    """The 98 landmarks of WFLW by four stacked hourglasses with coordinate channels.

    Wang et al. 2019 (arXiv:1904.07399). Names and layouts of the weights are those of the published
    `alignment_WFLW_4HG` state dict, as in the authors' code and in facexlib's, which loads it strictly.

    Call with uint8 RGB `[B, H, W, 3]` of any size, one face each, framed as in FFHQ; returns float32 `[B, 98, 2]`,
    (x, y) in pixels of these pictures, the top left corner being (0, 0). As in VQFR's evaluation, the whole picture is
    resized to 256 x 256 bilinearly in 8 bits and brought to [0, 1]; the heat maps of the last hourglass are decoded.
    """

    name = "AWing (WFLW, 4 hourglasses)"
    forward = staticmethod(forward)
    image_shape = (SIDE, SIDE, 3)

    def _of_batch(self, images: np.ndarray) -> np.ndarray:
        levels = round_levels(resample(images, self.crop, SIDE, SIDE))
        heat_maps = self._network(tf.constant(levels / 255.0))[-1].numpy()
        height, width = heat_maps.shape[1:3]
        return in_picture(decode(heat_maps[..., :-1]) / (width, height), self.crop, images)
