"""Reading images with Python from inside a tf.data graph, and ending that in time.

A process whose tf.data iterator is still alive when the interpreter shuts down can hang for ever: threads of tf.data
ask for Python, which they no longer get, while the iterator's destructor waits for them. An iterator stays alive in
any variable of a script, in a reference cycle, or in the traceback of an interrupted run. So before the interpreter
shuts down a gate in the graph is closed, and the reads under way are waited for.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

_LONGEST_WAIT = 30.0  # seconds for one image; after that, a hang would be no surprise
_QUIET = 0.1  # seconds without a read: more than a thread needs from the gate to Python


class _Gate:
    """A flag that graphs read and the end of the process sets, and the number of reads under way."""

    def __init__(self) -> None:
        # A bare resource, since a tf.Variable made within a strategy's scope would be mirrored on its devices.
        with tf.init_scope(), tf.device("CPU:0"):
            self._closed = tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name="rethink_fr_reads_closed")
            tf.raw_ops.AssignVariableOp(resource=self._closed, value=tf.constant(False))
        self._lock = threading.Lock()
        self._under_way = 0
        self._last = time.monotonic()
        self.failure: Optional[Exception] = None
        atexit.register(self._close)

    def is_closed(self) -> tf.Tensor:
        return tf.raw_ops.ReadVariableOp(resource=self._closed, dtype=tf.bool)

    def guard(self, read: Callable[[int], np.ndarray], index: int) -> np.ndarray:
        self._count(1)
        try:
            return read(index)
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._under_way += change
            self._last = time.monotonic()

    def _close(self) -> None:
        with tf.init_scope(), tf.device("CPU:0"):
            tf.raw_ops.AssignVariableOp(resource=self._closed, value=tf.constant(True))
        self._last = end = time.monotonic()
        while time.monotonic() < end + _LONGEST_WAIT:
            with self._lock:
                if not self._under_way and time.monotonic() > self._last + _QUIET:
                    return
            time.sleep(_QUIET / 10)


@functools.lru_cache(maxsize=1)
def _gate() -> _Gate:
    return _Gate()


def failure_of_reads() -> Optional[Exception]:
    """What a read raised last; TensorFlow passes on its text alone. None if no read failed since it was asked last."""
    failure, _gate().failure = _gate().failure, None
    return failure


def read_in_graph(read: Callable[[int], np.ndarray], index: tf.Tensor, resolution: int) -> tf.Tensor:
    """`read(index)` as an op: uint8 `[resolution, resolution, 3]`. Zeros once the process is ending.

    `read` is called from many threads; what it raises becomes a `tf.errors` exception of the dataset, see
    `failure_of_reads`.
    """
    gate = _gate()
    shape = [resolution, resolution, 3]
    image = tf.cond(
        gate.is_closed(),
        lambda: tf.zeros(shape, tf.uint8),
        lambda: tf.numpy_function(functools.partial(gate.guard, read), [index], tf.uint8, stateful=True),
    )
    return tf.ensure_shape(image, shape)
