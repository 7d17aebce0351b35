"""Fixed networks whose feature maps perceptual terms and measures compare: VGG-19, SqueezeNet, or your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.squeezenet import BESIDE, squeezenet
from rethink_fr.losses.vgg19 import preprocess, vgg19
from rethink_fr.weights.published_network import PublishedNetwork
from rethink_fr.weights.state_dicts import CONVOLUTION, VECTOR, to_torch
from rethink_fr.weights.torch_files import read_weights

_ANY_SIZE = (None, None, 3)
_TRIAL_SIDE = 64  # pixels; of the images on which a SavedModel of unknown kind is tried


class FeatureNetwork(tf.Module):
    """A fixed network as a differentiable function from images to feature maps; `load_feature_network` makes one.

        network = load_feature_network("squeezenet_v1.0.npz")
        maps = network(images)

    Call with RGB images `[B, H, W, 3]` in [-1, 1], of any float type; returns one or several maps, float32
    `[B, h, w, C]`, computed in float32. The weights are variables that are not trained. Load the network inside a
    distribution strategy's scope, so that each device has its own copy.

    Args:
        title: of the network, for reports.
        network: whatever owns the variables.
        features: from float32 images to maps, in any nesting.
    """

    def __init__(self, title: str, network: Any, features: Callable[[tf.Tensor], Any]) -> None:
        super().__init__()
        self.title = title
        self._network = network
        self._features = features

    def __call__(self, images: tf.Tensor) -> List[tf.Tensor]:
        maps: List[tf.Tensor] = tf.nest.flatten(self._features(tf.cast(images, tf.float32)))
        return [tf.cast(one, tf.float32) for one in maps]


def load_feature_network(source: str) -> FeatureNetwork:
    """Load a network whose features are compared.

    Args:
        source: one of these.

            * "vgg19": VGG-19 with Keras' ImageNet weights, a download of 80 MB on first use; the maps are those of
              `rethink_fr.losses.vgg19`, before their ReLUs.
            * the path of such weights: a `.h5` file of `keras.applications.VGG19(include_top=False)`.
            * the path of an `.npz` file of SqueezeNet 1.0; the maps are those of `rethink_fr.losses.squeezenet`.
            * the folder of a SavedModel, which is called with float32 RGB images `[B, H, W, 3]` in [-1, 1] and returns
              one feature map `[B, h, w, C]` or several, in a list or by name (then sorted by name). If it cannot be
              called itself, its signature `serving_default` is. A SavedModel is a program: load none of a stranger's.

    Raises:
        ValueError: if the network cannot be loaded or is another one; the message is one line that says what was
            expected. It is never replaced by a network with random weights.
    """
    path = Path(source)
    if source == "vgg19":
        return _vgg19("imagenet")
    if (path / "saved_model.pb").is_file():
        return _saved_model(source)
    if path.suffix in (".h5", ".npz") and path.is_file():
        return _vgg19(source) if path.suffix == ".h5" else _squeezenet(path)
    found = "there is no such file or folder" if not path.exists() else "it is something else"
    raise ValueError(
        f"perceptual network {source!r}: {found}; expected 'vgg19', a Keras VGG-19 .h5 file, a SqueezeNet 1.0 .npz "
        "file or the folder of a SavedModel"
    )


def _vgg19(weights: str) -> FeatureNetwork:
    try:
        vgg = keras.applications.VGG19(include_top=False, weights=weights)
    except Exception as error:  # Keras raises bare Exception for a failed download, h5py its own kinds
        expected = (
            "connect once, or give a file: a Keras VGG-19 .h5 file or a SqueezeNet 1.0 .npz file"
            if weights == "imagenet"
            else "expected the weights of keras.applications.VGG19(include_top=False)"
        )
        raise ValueError(
            f"perceptual network {weights!r}: VGG-19 cannot be loaded ({_reason(error)}); {expected}"
        ) from None
    # Copied, because Keras makes variables that a gradient tape watches, even in a layer that is not trained.
    state: Dict[str, np.ndarray] = {}
    for layer in vgg.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            state[f"{layer.name}.weight"] = to_torch(kernel, CONVOLUTION)
            state[f"{layer.name}.bias"] = to_torch(bias, VECTOR)
    network = PublishedNetwork(vgg19, _ANY_SIZE, state)
    return FeatureNetwork("VGG-19", network, lambda images: network(preprocess(images)))


def _squeezenet(path: Path) -> FeatureNetwork:
    expected = "expected an .npz file of SqueezeNet 1.0 with conv1.weight, fire2.conv1x1_1.weight and so on"
    try:
        state = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{error}; {expected}") from None
    try:
        network = PublishedNetwork(squeezenet, _ANY_SIZE, state, BESIDE)
    except ValueError as error:
        raise ValueError(f"perceptual network {str(path)!r}: {_reason(error)}; {expected}") from None
    if not all(np.all(np.isfinite(values)) for values in state.values()):
        raise ValueError(f"perceptual network {str(path)!r}: it holds values that are not finite; {expected}")
    return FeatureNetwork("SqueezeNet 1.0", network, network)


def _saved_model(source: str) -> FeatureNetwork:
    expected = (
        "expected a SavedModel that maps float32 images [B, H, W, 3] in [-1, 1] to one or several feature maps "
        "[B, h, w, C], differentiably"
    )
    try:
        loaded: Any = tf.saved_model.load(source)
        function = loaded if callable(loaded) else _by_keyword(loaded.signatures["serving_default"])
        network = FeatureNetwork(f"SavedModel {Path(source).name}", loaded, function)
        faults: List[str] = []
        # By `run`, because a SavedModel that was loaded in a strategy's scope can only be called by a replica.
        tf.distribute.get_strategy().run(lambda: faults.append(_fault(network, _sides(loaded))))
    except Exception as error:  # TensorFlow raises nearly anything for damaged or foreign SavedModels
        raise ValueError(f"perceptual network {source!r}: it cannot be used ({_reason(error)}); {expected}") from None
    if any(faults):
        raise ValueError(f"perceptual network {source!r}: {faults[0]}; {expected}")
    return network


def _fault(network: FeatureNetwork, sides: List[int]) -> str:
    """What is wrong with the maps of two images, or empty."""
    images = tf.random.stateless_uniform([2, *sides, 3], [0, 0], -1.0, 1.0)
    with tf.GradientTape() as tape:
        tape.watch(images)
        maps = network(images)
        total = tf.add_n([tf.reduce_sum(one) for one in maps])
    if any(one.shape.rank != 4 or one.shape[0] != 2 for one in maps):
        return f"two images give {[list(one.shape) for one in maps]}"
    return "its maps have no gradient" if tape.gradient(total, images) is None else ""


def _by_keyword(signature: Any) -> Callable[[tf.Tensor], Any]:
    """A signature with one input, which takes it by its name, as a function of the images."""
    (name,) = signature.structured_input_signature[1]
    return lambda images: signature(**{name: images})


def _sides(loaded: Any) -> List[int]:
    """Rows and columns of the images that a SavedModel takes, if they are fixed; else the size of a trial."""
    functions = loaded.__call__.concrete_functions if callable(loaded) else list(loaded.signatures.values())
    specs = tf.nest.flatten([function.structured_input_signature for function in functions[:1]])
    images = [spec.shape for spec in specs if isinstance(spec, tf.TensorSpec) and spec.shape.rank == 4]
    return [side or _TRIAL_SIDE for side in images[0][1:3]] if images else [_TRIAL_SIDE] * 2


def _reason(error: Exception) -> str:
    """The first line of an error's message, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:150] if lines else type(error).__name__
