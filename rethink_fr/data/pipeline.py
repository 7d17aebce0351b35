"""Batches of degraded and clean images for training, each sample a pure function of the seed and its number.

Sample number i is `step * global_batch + position`. Nothing that came before it, no shuffle buffer and no generator
state enters it: a run resumed at any step sees exactly what the uninterrupted run would have seen.
"""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.data.augmentation import augment
from rethink_fr.data.degradation.tasks import Task, degrade_for_task
from rethink_fr.data.python_reads import read_in_graph
from rethink_fr.data.sources.image_source import ImageSource
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.types import DegradationRanges

_BLIND = DegradationRanges()


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
    input_context: Optional[tf.distribute.InputContext] = None,
) -> tf.data.Dataset:
    """An endless dataset of `{"degraded", "clean"}` float32 `[b, R, R, 3]` in [-1, 1] and `"index"` int64 `[b]`.

    Every image comes once in each pass over the source; passes are shuffled differently. `index` is the sample's
    number.

    Args:
        source: clean images.
        seed: of the order, the augmentation and the degradation.
        global_batch: samples a step, over all workers and replicas.
        start_step: first step to deliver; what came before is not read.
        flip, color_jitter: see `augment`.
        ranges, task: see `degrade_for_task`.
        degrade: False for what learns from clean images alone: they then stand for the degraded ones too.
        workers: images worked on at a time; 0 lets tf.data choose.
        input_context: with `strategy.distribute_datasets_from_function`. Each worker then reads its own contiguous
            part of every global batch, and b is the batch of one replica. Without it b is `global_batch`.

    Raises:
        ValueError: if the source is empty or the batch cannot be shared evenly.
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
        clean = read_in_graph(source.read, place, source.resolution)
        clean = augment(clean, seed, index, flip, color_jitter)
        degraded = degrade_for_task(clean, seed, index, ranges, task) if degrade else clean
        return {"degraded": degraded, "clean": clean, "index": index}

    def to_model(batch: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        return {
            "degraded": images.to_model(batch["degraded"]),
            "clean": images.to_model(batch["clean"]),
            "index": batch["index"],
        }

    # Numbers count this worker's samples only; `sample` finds the place of each in the global batch.
    dataset = tf.data.Dataset.range(start_step * share, np.iinfo(np.int64).max)
    dataset = dataset.map(sample, num_parallel_calls=parallel, deterministic=True)
    dataset = dataset.batch(global_batch // replicas, drop_remainder=True)
    dataset = dataset.map(to_model).prefetch(tf.data.AUTOTUNE)
    if input_context is not None:
        options = tf.data.Options()  # the sharing is done above
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
    """`{"degraded", "clean"}`, uint8 `[count, R, R, 3]`: the same pictures each time, for samples and validation.

    They are spread evenly over the source; fewer than `count` if it holds fewer. Picture number k is degraded with
    index k. Those that cannot be read are left out, and the others stay as they would be.

    Raises:
        ValueError: if there is none.
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
    """Where in the source sample `index` is found: pass `index // count`, in that pass's own order."""
    epoch, place = index // count, index % count
    # fold_in: neighbouring epochs get unrelated seeds, which the shuffle's small cipher needs.
    order = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch, alg=tf.random.Algorithm.PHILOX)
    return tf.random.experimental.index_shuffle(place, order, tf.constant(count - 1, tf.int64))
