"""Batches of degraded and clean images for training. Each sample depends on the seed and on its number alone.

Sample number i is `step * global_batch + position`. No shuffle buffer and no random generator with a state is involved,
so a run that continues at any step gets the samples that it would have had without the interruption.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from typing import Callable, Dict, Optional

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.data.augmentation import augment
from rethink_fr.data.degradation.tasks import Task, degrade_for_task
from rethink_fr.data.service import from_service, read_anywhere
from rethink_fr.data.sources.image_source import ImageSource
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.types import DegradationRanges

_BLIND = DegradationRanges()
_LONGEST_WAIT = 30.0  # seconds that the end of the process waits for images that are being read
_QUIET = 0.1  # seconds without a read after which none is expected any more


def training_batches(
    source: ImageSource,
    *,
    seed: int,
    global_batch: int,
    start_step: int = 0,
    flip: float = 0.5,
    color_jitter: float = 0.0,
    ranges: DegradationRanges = _BLIND,
    task: Task = "blind",
    degrade: bool = True,
    workers: int = 0,
    service: str = "",
    input_context: Optional[tf.distribute.InputContext] = None,
) -> tf.data.Dataset:
    """An endless dataset of training batches.

    A batch is `{"degraded", "clean"}`, float32 `[b, R, R, 3]` RGB in [-1, 1], and `"index"`, int64 `[b]`, the numbers
    of the samples. In each pass over the source every image comes once, in another order than in the pass before.

    Args:
        source: the clean images.
        seed: decides the order, the augmentation and the degradation.
        global_batch: number of samples in a step, over all workers and replicas.
        start_step: the first step that the dataset is for. What comes before it is not read.
        flip, color_jitter: see `augment`.
        ranges, task: see `degrade_for_task`.
        degrade: False if only clean images are needed; they then take the place of the degraded ones, too.
        workers: number of images worked on at the same time; 0 lets tf.data choose.
        service: address of a tf.data service that makes the batches, see `data.service`; "" for none.
        input_context: from `strategy.distribute_datasets_from_function`. Each worker then reads its own part of every
            global batch, and b is the batch of one replica. Without a context b is `global_batch`.

    Raises:
        ValueError: if the source is empty, a number is negative, the batch cannot be shared evenly, or the service does
            not answer.
    """
    if not len(source):
        raise ValueError("training_batches: the source holds no images")
    if global_batch < 1 or start_step < 0 or workers < 0:
        raise ValueError(
            "training_batches: expected global_batch >= 1, start_step >= 0 and workers >= 0, "
            f"got {global_batch}, {start_step} and {workers}"
        )
    pipelines, pipeline, replicas = 1, 0, 1
    if input_context is not None:
        pipelines, pipeline = input_context.num_input_pipelines, input_context.input_pipeline_id
        replicas = input_context.num_replicas_in_sync
        if global_batch % pipelines or global_batch % replicas:
            raise ValueError(
                f"training.global_batch: {global_batch} cannot be shared evenly by {pipelines} workers with {replicas} "
                f"replicas in all; use a multiple of {np.lcm(pipelines, replicas)}"
            )
    share = global_batch // pipelines
    parallel = workers or tf.data.AUTOTUNE

    def sample(number: tf.Tensor) -> Dict[str, tf.Tensor]:
        step, position = number // share, number % share
        index = step * global_batch + pipeline * share + position
        place = _shuffled_place(index, len(source), seed)
        clean = (read_anywhere if service else read_in_graph)(source.read, place, source.resolution)
        clean = augment(clean, seed, index, flip, color_jitter)
        degraded = degrade_for_task(clean, seed, index, ranges, task) if degrade else clean
        return {"degraded": degraded, "clean": clean, "index": index}

    def to_model(batch: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        return {
            "degraded": images.to_model(batch["degraded"]),
            "clean": images.to_model(batch["clean"]),
            "index": batch["index"],
        }

    # The numbers count this worker's samples only; `sample` computes the place of each in the global batch.
    last = np.iinfo(np.int64).max
    if service:  # whole steps are given out
        dataset = tf.data.Dataset.range(start_step, last // share)
        dataset = dataset.flat_map(lambda step: tf.data.Dataset.range(step * share, (step + 1) * share))
    else:
        dataset = tf.data.Dataset.range(start_step * share, last)
    dataset = dataset.map(sample, num_parallel_calls=parallel, deterministic=True)
    dataset = dataset.batch(global_batch // replicas, drop_remainder=True)
    if service:
        dataset = from_service(dataset, service)
    dataset = dataset.map(to_model).prefetch(tf.data.AUTOTUNE)
    if input_context is not None:
        options = tf.data.Options()  # the batch is shared above already
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        dataset = dataset.with_options(options)
    return dataset


def fixed_batch(
    source: ImageSource,
    count: int,
    *,
    seed: int = 0,
    ranges: DegradationRanges = _BLIND,
    task: Task = "blind",
) -> Dict[str, np.ndarray]:
    """The same images at every call, for sample sheets and validation.

    They are spread evenly over the source, and image k is degraded as sample k. An image that cannot be read is left
    out; the others stay as they would be.

    Args:
        source: the clean images.
        count: number of images; fewer are returned if the source holds fewer.
        seed: decides the degradation.
        ranges, task: see `degrade_for_task`.

    Returns: `{"degraded", "clean"}`, uint8 `[count, R, R, 3]` RGB.

    Raises:
        ValueError: if the source is empty, or none of the images can be read.
    """
    count = min(count, len(source))
    if count < 1:
        raise ValueError("fixed_batch: expected a source that holds images and a count of at least 1")
    readable = {}
    for number in range(count):
        try:
            readable[number] = source.read(number * len(source) // count)
        except UnreadableImage as error:
            unreadable = error
    if not readable:
        raise ValueError(f"none of the pictures to validate with can be read; the first is {unreadable}")
    clean = np.stack(list(readable.values()))
    dataset = tf.data.Dataset.from_tensor_slices((clean, np.array(list(readable), np.int64)))
    dataset = dataset.map(
        lambda image, index: degrade_for_task(image, seed, index, ranges, task), num_parallel_calls=tf.data.AUTOTUNE
    )
    return {"degraded": np.stack(list(dataset.as_numpy_iterator())), "clean": clean}


def _shuffled_place(index: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """The place of sample `index` in a source of `count` images: each pass over the source has its own order."""
    epoch, place = index // count, index % count
    # fold_in: the shuffle's small cipher needs unrelated seeds for neighbouring passes.
    order = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch, alg=tf.random.Algorithm.PHILOX)
    return tf.random.experimental.index_shuffle(place, order, tf.constant(count - 1, tf.int64))


def read_in_graph(read: Callable[[int], np.ndarray], index: tf.Tensor, resolution: int) -> tf.Tensor:
    """Call the Python function `read` from a graph.

    Args:
        read: returns uint8 `[resolution, resolution, 3]` for a number. It is called from many threads. What it raises
            becomes a `tf.errors` exception of the dataset; `failure_of_reads` has the original one.
        index: int64 scalar.
        resolution: of the image.

    Returns: the image; zeros when the process is ending.
    """
    gate = _gate()
    shape = [resolution, resolution, 3]
    image = tf.cond(
        gate.is_closed(),
        lambda: tf.zeros(shape, tf.uint8),
        lambda: tf.numpy_function(functools.partial(gate.guard, read), [index], tf.uint8, stateful=True),
    )
    return tf.ensure_shape(image, shape)


def failure_of_reads() -> Optional[Exception]:
    """The exception that a read raised last, of which TensorFlow passes on the text only.

    None if no read has failed since this function was called last.
    """
    failure, _gate().failure = _gate().failure, None
    return failure


@functools.lru_cache(maxsize=1)
def _gate() -> _Gate:
    return _Gate()


class _Gate:
    """Ends all reading before the interpreter shuts down.

    A process whose tf.data iterator still exists at that time can hang for ever: tf.data's threads wait for Python, and
    the iterator's destructor waits for the threads. An iterator may stay in a variable, in a reference cycle or in the
    traceback of an interrupted run. So at exit a flag is set that the graph checks before each read, and the reads that
    have begun are waited for.
    """

    def __init__(self) -> None:
        # A bare resource: a tf.Variable made within a strategy's scope would be mirrored on its devices.
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
