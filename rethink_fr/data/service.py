"""Training batches made by other processes: TensorFlow's tf.data service, and what ours needs of it.

A dispatcher gives the steps of a run out to workers, and each worker makes whole batches. A step goes to one worker
only, and each sample still depends on the seed and its number alone. So the batches are those that the run would make
itself, each comes once, and with one worker they come in the same order.
"""

from __future__ import annotations

import socket
from typing import Callable

import numpy as np
import tensorflow as tf

# A dataset that reads by a Python function names it by a number that counts such functions in its process. A worker
# lends its own function under this many of the first numbers, of which a training process uses a dozen.
_LENT = 512
_PATIENCE = 10.0  # seconds until a dispatcher that does not answer is called absent
SCHEME = "grpc://"


def from_service(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Have a dataset made by the workers of a dispatcher; its first source is shared among them.

    Args:
        dataset: endless. It must hold no state and no resource.
        address: of the dispatcher, `grpc://HOST:PORT`.

    Raises:
        ValueError: if no dispatcher answers there.
    """
    host, _, port = address[len(SCHEME) :].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise ValueError(
            f"data.service: no dispatcher answers at {address} ({error.strerror or 'timed out'}); start it, and its "
            "workers, by `python -m rethink_fr.training.data_service`, or set data.service to ''"
        ) from None
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return dataset.apply(tf.data.experimental.service.distribute(policy, address))


def read_anywhere(read: Callable[[int], np.ndarray], index: tf.Tensor, resolution: int) -> tf.Tensor:
    """As `pipeline.read_in_graph`, for datasets that go to a worker, which reads by the function that it has lent."""
    image = tf.numpy_function(read, [index], tf.uint8, stateful=False)
    return tf.ensure_shape(image, [resolution, resolution, 3])


def lend(read: Callable[[int], np.ndarray]) -> tf.Graph:
    """Have the datasets that come to this process read by `read`, as long as the result lives.

    To be called before this process makes a dataset of its own.
    """
    graph = tf.Graph()
    with graph.as_default():
        for _ in range(_LENT):
            tf.numpy_function(read, [tf.constant(0, tf.int64)], tf.uint8, stateful=False)
    return graph
