"""LPIPS with networks whose weights are filled by a rule: stored values, properties, misuse."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.metrics import lpips, perceptual_distance

# (filters, kernel, stride, padding): convolution and ReLU; (size, stride): pooling; "tap": a feature map is taken.
VGG16 = (
    (64, 3, 1, 1), (64, 3, 1, 1), "tap", (2, 2), (128, 3, 1, 1), (128, 3, 1, 1), "tap", (2, 2),
    (256, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), "tap", (2, 2),
    (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "tap", (2, 2),
    (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "tap",
)  # fmt: skip
ALEXNET = (
    (64, 11, 4, 2), "tap", (3, 2), (192, 5, 1, 2), "tap", (3, 2),
    (384, 3, 1, 1), "tap", (256, 3, 1, 1), "tap", (256, 3, 1, 1), "tap",
)  # fmt: skip


class Network:
    """A plain chain of layers. `weights(number)` gives kernel `[O, I, h, w]` and bias of the n-th convolution."""

    def __init__(self, layers, weights, heads):
        self.layers, self.weights, self.heads = layers, weights, heads

    def __call__(self, images):
        maps, features, number = [], tf.constant(images), 0
        for layer in self.layers:
            if layer == "tap":
                maps.append(features)
            elif len(layer) == 2:
                features = tf.nn.max_pool2d(features, *layer, "VALID")
            else:
                kernel, bias = self.weights(number)
                padding = [[0, 0], [layer[3]] * 2, [layer[3]] * 2, [0, 0]]
                features = tf.nn.conv2d(features, kernel.transpose(2, 3, 1, 0), layer[2], padding)
                features = tf.nn.relu(features + bias)
                number += 1
        return maps


def metric_network(golden, short, long, layers):
    """Filled as the stored values of `golden/metrics` were, with LPIPS' own heads."""
    names, shapes = golden[f"{short}/param_names"], golden[f"{short}/param_shapes"]
    assert all(name.startswith(long) for name in names)

    def filled(index):
        shape = [int(side) for side in str(shapes[index]).strip("()[]").replace("x", ",").split(",") if side.strip()]
        generator = np.random.RandomState(zlib.crc32(names[index].encode()) & 0x7FFFFFFF)
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.05
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    heads = [golden[f"{short}/lin{number}"] for number in range(5)]
    return Network(layers, lambda number: (filled(2 * number), filled(2 * number + 1)), heads)


@pytest.mark.parametrize("short, long, layers", [("vgg", "vgg16", VGG16), ("alex", "alexnet", ALEXNET)])
def test_stored_values(shared, short, long, layers):
    golden = np.load(shared / "golden/metrics/lpips_vgg.npz")
    pictures = np.load(shared / "golden/metrics/psnr_ssim.npz")
    network = metric_network(golden, short, long, layers)
    for case in ("face_noise", "face_blur", "face_jpeg_71x97", "identical"):
        restored, clean = (pictures[f"{case}/{name}"][None] / 127.5 - 1.0 for name in ("restored", "gt"))
        expected = golden[f"{short}/{case}/lpips"]
        np.testing.assert_allclose(lpips(restored, clean, network), expected, rtol=1e-4, err_msg=case)
        np.testing.assert_allclose(lpips(clean, restored, network), expected, rtol=1e-4, err_msg=case)


def test_stored_value_of_vqfrs_loss(shared):
    """The same arithmetic as a training loss, weights by the other rule: mean over the batch."""
    golden = np.load(shared / "golden/vqfr/golden_lpips.npz")
    positions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of the convolutions in torchvision's `features`
    sections = (0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)
    filters = [layer[0] for layer in VGG16 if len(layer) == 4]

    def normal(name, *shape):
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        return generator.standard_normal(shape, dtype=np.float32)

    def weights(number):
        name = f"net.slice{sections[number] + 1}.{positions[number]}"
        shape = filters[number], 3 if number == 0 else filters[number - 1], 3, 3
        kernel = np.float32(1 / np.sqrt(9 * shape[1])) * normal(f"{name}.weight", *shape) * np.float32(np.sqrt(2))
        return kernel, np.float32(0.05) * normal(f"{name}.bias", filters[number])

    widths = (64, 128, 256, 512, 512)
    heads = [
        np.abs(normal(f"lin{index}.model.1.weight", 1, width, 1, 1)).ravel() * np.float32(1 / np.sqrt(width))
        for index, width in enumerate(widths)
    ]
    first, second = (golden[name].transpose(0, 2, 3, 1) for name in "xy")
    distance = lpips(first, second, Network(VGG16, weights, heads))
    assert distance.shape == (2,)
    np.testing.assert_allclose(distance.mean(), golden["perceptual"], atol=1e-6)


class Pixels:
    """The images themselves as the only feature map."""

    heads = (np.array([1.0, 2.0, 4.0]),)

    def __call__(self, images):
        return [images]


def test_by_hand():
    # The shift and scale turn these into (3, 0, 0) and (0, 5, 0): directions red and green, whatever their length.
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    red, green = (np.tile(np.array(value) * scale + shift, [1, 2, 2, 1]) for value in ([3, 0, 0], [0, 5, 0]))
    np.testing.assert_allclose(lpips(red, green, Pixels()), [1.0 + 2.0], rtol=1e-5)
    half = red.copy()
    half[:, :1] = green[:, :1]
    np.testing.assert_allclose(lpips(red, half, Pixels()), [1.5], rtol=1e-5)
    assert lpips(red, red, Pixels()) == [0.0]


def test_equal_weights_by_hand():
    # The pixels themselves as features: red and green at right angles, whatever their length; 1 / C is a third.
    red, green = (np.tile(np.array(value), [1, 2, 2, 1]) for value in ([0.5, 0, 0], [0, 1.0, 0]))
    half = np.concatenate([green[:, :1], red[:, 1:]], axis=1)
    network = lambda images: [images, images[:, ::2]]  # noqa: E731
    np.testing.assert_allclose(perceptual_distance(red, green, network), [2 * 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(perceptual_distance(red, half, network), [1 / 3 + 2 / 3], rtol=1e-6)
    assert perceptual_distance(red, red, network) == [0.0]
    with pytest.raises(ValueError, match="expected two of one shape"):
        perceptual_distance(red, green[:, :1], network)


def test_misuse():
    images = np.zeros([1, 4, 4, 3])
    with pytest.raises(ValueError, match=r"shapes \(1, 4, 4, 3\) and \(1, 4, 5, 3\)"):
        lpips(images, np.zeros([1, 4, 5, 3]), Pixels())
    network = Pixels()
    network.heads = (np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="1 feature maps and 2 heads"):
        lpips(images, images, network)
    network.heads = (np.ones(4),)
    with pytest.raises(ValueError, match=r"a head of shape \(4,\) for 3 channels"):
        lpips(images, images, network)
