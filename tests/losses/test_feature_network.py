"""Networks whose features are compared: SqueezeNet 1.0 against NumPy, and what may be loaded."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.feature_network import load_feature_network
from rethink_fr.losses.squeezenet import squeezenet
from rethink_fr.losses.vgg19 import TAPPED_LAYERS, preprocess
from rethink_fr.weights.published_network import Layers, expected_shapes
from tests.weights.filled import filled

CLASSIFIER = {"conv_final.weight": np.zeros([1000, 512, 1, 1], np.float32), "conv_final.bias": np.zeros([1000])}
PUBLISHED = "weights/squeezenet_v1.0_deepcompressed_decoded.npz"


@pytest.fixture(scope="module")
def weights() -> dict:
    return filled(expected_shapes(squeezenet, (None, None, 3)))


@pytest.fixture(scope="module")
def file(weights, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("squeezenet") / "squeezenet.npz"
    np.savez(path, **weights, **CLASSIFIER)
    return str(path)


def pictures(seed: int = 0, batch: int = 2, side: int = 33) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, [batch, side, side, 3]).astype(np.float32)


class InNumPy:
    """SqueezeNet 1.0 as Caffe's prototxt has it, channels first, one picture at a time."""

    def __init__(self, weights: dict) -> None:
        self.weights = weights

    def convolution(self, name: str, features: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
        kernel, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        padded = np.pad(features, [(0, 0), (padding, padding), (padding, padding)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(1, 2))
        outputs = np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], kernel, optimize=True)
        return np.maximum(outputs + bias[:, None, None], 0)

    def pooled(self, features: np.ndarray) -> np.ndarray:
        sides = [int(np.ceil((side - 3) / 2)) + 1 for side in features.shape[1:]]
        rows, columns = np.indices(sides) * 2
        return np.stack([
            [features[:, row : row + 3, column : column + 3].max((1, 2)) for row, column in zip(*line)]
            for line in zip(rows, columns)
        ]).transpose(2, 0, 1)  # fmt: skip

    def fire(self, number: int, features: np.ndarray) -> np.ndarray:
        inner = self.convolution(f"fire{number}.conv1x1_1", features)
        wide = self.convolution(f"fire{number}.conv3x3_2", inner, padding=1)
        return np.concatenate([self.convolution(f"fire{number}.conv1x1_2", inner), wide])

    def __call__(self, picture: np.ndarray) -> list:
        levels = (picture.astype(np.float64) + 1) * 127.5
        blue_green_red = levels[..., ::-1] - [104, 117, 123]
        conv1 = self.convolution("conv1", blue_green_red.transpose(2, 0, 1), stride=2)
        fire3 = self.fire(3, self.fire(2, self.pooled(conv1)))
        fire5 = self.fire(5, self.pooled(self.fire(4, fire3)))
        fire7 = self.fire(7, self.fire(6, fire5))
        fire9 = self.fire(9, self.pooled(self.fire(8, fire7)))
        return [maps.transpose(1, 2, 0) for maps in (conv1, fire3, fire5, fire7, fire9)]


def assert_equal_to_numpy(maps: list, weights: dict, images: np.ndarray) -> None:
    reference = InNumPy(weights)
    for number, picture in enumerate(images):
        for ours, theirs in zip(maps, reference(picture), strict=True):
            # 1e-5 of the map's size: float32 through up to 18 convolutions against float64.
            np.testing.assert_allclose(ours[number], theirs, atol=1e-5 * np.abs(theirs).max(), rtol=1e-4)


@pytest.mark.parametrize("side", [21, 33, 40])
def test_squeezenet_is_what_numpy_computes(file, weights, side):
    network = load_feature_network(file)
    maps = network(pictures(side=side))
    assert [one.shape[-1] for one in maps] == [96, 128, 256, 384, 512] and network.title == "SqueezeNet 1.0"
    assert_equal_to_numpy(maps, weights, pictures(side=side))


def test_the_published_squeezenet_is_what_numpy_computes(shared):
    images = pictures(side=64)
    maps = load_feature_network(str(shared / PUBLISHED))(images)
    assert_equal_to_numpy(maps, dict(np.load(shared / PUBLISHED)), images)
    sparse = [np.mean(one == 0) for one in maps]
    assert all(0.1 < share < 0.97 for share in sparse)


def test_the_gradient_of_squeezenet_equals_finite_differences(weights, assert_gradient):
    tensors = {
        name: np.float64(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value) for name, value in weights.items()
    }
    network = lambda images: squeezenet(Layers(lambda name, _: tf.constant(tensors[name])), images)  # noqa: E731
    # A step of 1e-8 crosses hardly any of the kinks of ReLUs and maxima.
    assert_gradient(lambda x: network(x)[-1], np.float64(pictures(batch=1)), step=1e-8, rtol=1e-4)


def test_the_network_is_fixed_and_passes_a_gradient_to_the_images(file):
    network = load_feature_network(file)
    images = tf.constant(pictures())
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.add_n([tf.reduce_mean(one) for one in network(images)])
    assert network.variables and not network.trainable_variables and tape.watched_variables() == ()
    gradient = tape.gradient(loss, images)
    assert np.all(np.isfinite(gradient)) and np.mean(gradient != 0) > 0.9


def test_images_of_other_float_types_are_computed_in_float32(file):
    network = load_feature_network(file)
    for dtype in (tf.float64, tf.float16):
        maps = network(tf.cast(pictures(), dtype))
        assert {one.dtype for one in maps} == {tf.float32}


def test_vgg19_from_a_file_is_the_network_of_the_papers_losses(tmp_path):
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.save_weights(str(tmp_path / "vgg19.h5"))
    network = load_feature_network(str(tmp_path / "vgg19.h5"))
    maps = network(pictures())
    rectified = keras.Model(vgg.input, [vgg.get_layer(name).output for name in TAPPED_LAYERS])
    for ours, theirs in zip(maps, rectified(preprocess(tf.constant(pictures()))), strict=True):
        np.testing.assert_allclose(np.maximum(ours, 0), theirs, rtol=1e-5, atol=1e-5 * np.max(theirs))
    assert any(np.any(one.numpy() < 0) for one in maps) and not network.trainable_variables


class Saved(tf.Module):
    """A SavedModel of two maps, by a call or by its signature only."""

    def __init__(self, side=None, dtype=tf.float32, function=lambda kernel, images: None):
        super().__init__()
        self.kernel = tf.Variable(np.float32(pictures(3, 3, 3)[..., :2]).transpose(1, 2, 0, 3))

        @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], dtype, "pictures")])
        def features(images):
            return function(self.kernel, images)

        self.features = features


def two_maps(kernel, images):
    first = tf.nn.conv2d(images, kernel, 1, "SAME")
    return {"shallow": first, "deep": tf.nn.avg_pool2d(tf.nn.relu(first), 2, 2, "VALID")}


def saved(folder, called: bool = False, **arguments) -> str:
    module = Saved(**arguments)
    if called:
        module.__call__ = module.features
        tf.saved_model.save(module, str(folder))
    else:
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.features})
    return str(folder)


@pytest.mark.parametrize("called", [True, False])
def test_any_saved_model_of_feature_maps_will_do(tmp_path, called):
    network = load_feature_network(saved(tmp_path / "network", called, function=two_maps))
    deep, shallow = network(pictures(side=32))
    assert deep.shape == (2, 16, 16, 2) and shallow.shape == (2, 32, 32, 2)
    assert not network.trainable_variables and network.title == "SavedModel network"


def test_a_saved_model_may_have_one_size_and_one_map(tmp_path):
    folder = saved(tmp_path / "network", side=20, function=lambda kernel, images: {"only": images[:, ::2]})
    (only,) = load_feature_network(folder)(pictures(side=20))
    assert only.shape == (2, 10, 20, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": lambda kernel, images: {"a": tf.reduce_mean(images, [1, 2])}}, r"two images give \[\[2, 3\]\]"),
        ({"function": lambda kernel, images: {"a": tf.stop_gradient(images)}}, "its maps have no gradient"),
        ({"function": lambda kernel, images: {"a": images}, "dtype": tf.float64}, "it cannot be used"),
        ({"function": lambda kernel, images: {"a": tf.cast(images, tf.float32)}, "dtype": tf.uint8}, "cannot be used"),
    ],
)
def test_a_saved_model_of_something_else_is_named_in_one_line(tmp_path, arguments, message):
    folder = saved(tmp_path / "network", **arguments)
    with pytest.raises(ValueError, match=message + ".*expected a SavedModel that maps float32 images") as error:
        load_feature_network(folder)
    assert len(str(error.value).splitlines()) == 1


def test_files_of_something_else_are_named_in_one_line(tmp_path, weights):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "nan.npz", **{**weights, "conv1.bias": np.full(96, np.nan)})
    for name in ("damaged.npz", "damaged.h5", "network.pb"):
        (tmp_path / name).write_bytes(b"nothing")
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"nothing")
    expected = {
        "other.npz": "missing, the first is conv1.weight.*expected an .npz file of SqueezeNet 1.0",
        "nan.npz": "not finite; expected an .npz file of SqueezeNet 1.0",
        "damaged.npz": "not an .npz of arrays .*; expected an .npz file of SqueezeNet 1.0",
        "damaged.h5": "cannot be loaded .*expected the weights of keras.applications.VGG19",
        "damaged": "cannot be used .*expected a SavedModel",
        "network.pb": "something else; expected 'vgg19', a Keras VGG-19 .h5",
        "folder": "something else; expected 'vgg19', a Keras VGG-19 .h5",
        "gone.npz": "no such file or folder; expected 'vgg19', a Keras VGG-19 .h5",
    }
    for name, message in expected.items():
        with pytest.raises(ValueError, match=message) as error:
            load_feature_network(str(tmp_path / name))
        assert len(str(error.value).splitlines()) == 1, name


def test_without_a_connection_vgg19_is_an_error_not_a_random_network(monkeypatch):
    def no_network(*arguments, **keywords):
        raise Exception("URL fetch failure on https://...: None -- no route")  # what Keras raises

    monkeypatch.setattr(keras.applications, "VGG19", no_network)
    with pytest.raises(ValueError, match="connect once, or give a file"):
        load_feature_network("vgg19")


@pytest.mark.parametrize("kind", ["npz", "saved_model"])
def test_a_network_lives_in_the_scope_of_a_strategy(mirrored, file, tmp_path, kind):
    source = file if kind == "npz" else saved(tmp_path / "network", function=two_maps)
    with mirrored.scope():
        network = load_feature_network(source)

    @tf.function
    def gradients(images):
        def of_replica(share):
            with tf.GradientTape() as tape:
                tape.watch(share)
                loss = tf.add_n([tf.reduce_sum(one) for one in network(share)])
            return tape.gradient(loss, share)

        return mirrored.run(of_replica, args=(images,))

    images = pictures()
    share = mirrored.experimental_distribute_values_from_function(lambda _: tf.constant(images))
    first, second = mirrored.experimental_local_results(gradients(share))
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5 * np.abs(first).max())
