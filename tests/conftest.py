"""Shared fixtures. The CPU becomes two logical devices before anything else touches TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.chromium import browser  # noqa: F401 (a fixture)
from tests.object_store import Bucket, Server, serving

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


LONGEST_FIRST = ("vqfr/training/test_train", "training/test_run", "attack", "vqfr/training", "training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no process has one of them left when the others are done."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(tests).as_posix()
        return next((number for number, start in enumerate(LONGEST_FIRST) if name.startswith(start)), 99)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights and inputs in every run and in every order of tests."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def mirrored() -> tf.distribute.MirroredStrategy:
    """Two replicas. One object for the whole session: a second one breaks the collectives of the first."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of large reference files beside a developer's checkout; not part of the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder.name}/ with reference values beside the repository")
    return folder


@pytest.fixture(scope="session")
def store_server() -> Iterator[Server]:
    """An S3-compatible server on this machine."""
    with serving() as server:
        yield server


@pytest.fixture
def bucket(store_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket, and a cache of the user's that is empty."""
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    return store_server.bucket()


@pytest.fixture
def float64() -> Iterator[None]:
    """Layers made in the test compute in float64, sublayers included."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float64")
    yield
    keras.mixed_precision.set_global_policy(policy)


@pytest.fixture
def assert_gradient() -> Callable[..., None]:
    """Check a gradient against central differences along random directions, in all inputs at once."""

    def check(function: Callable[..., tf.Tensor], *inputs: np.ndarray, step: float = 1e-5, rtol: float = 1e-7) -> None:
        generator = np.random.default_rng(0)
        tensors = [tf.convert_to_tensor(value) for value in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
            weights = generator.normal(size=outputs.shape).astype(outputs.dtype.as_numpy_dtype)
            loss = tf.reduce_sum(outputs * weights)
        gradients = tape.gradient(loss, tensors)
        for _ in range(4):
            directions = [generator.normal(size=value.shape).astype(value.dtype) for value in inputs]
            ahead, behind = (
                np.sum(function(*(value + sign * step * way for value, way in zip(inputs, directions))) * weights)
                for sign in (1, -1)
            )
            slope = sum(np.sum(gradient * way) for gradient, way in zip(gradients, directions))
            size = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients))
            np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=rtol, atol=rtol * size)

    return check
