"""The small pictures in the middle of a degradation: what methods take that enlarge their input themselves."""

from __future__ import annotations

import tensorflow as tf

from rethink_fr.data.degradation.stages import Index, to_uint8
from rethink_fr.data.degradation.tasks import Task, reduced, reduced_bicubic
from rethink_fr.data.degradation.vqfr_recipe import reduced_vqfr
from rethink_fr.types import DegradationRanges


def small_input(image_uint8: tf.Tensor, seed: Index, index: Index, ranges: DegradationRanges, task: Task) -> tf.Tensor:
    """What `degrade_for_task` enlarges as its last step, for the same arguments: uint8 `[H, W, 3]` to `[h, w, 3]`.

    For x8 and x16 every image is reduced by that factor; for the other tasks by the factor that is drawn for it.
    """
    with tf.device("CPU:0"):
        if task in ("x8", "x16"):
            return reduced_bicubic(image_uint8, int(task[1:]))
        make = reduced_vqfr if task == "vqfr" else reduced
        return to_uint8(make(image_uint8, tf.cast(seed, tf.int64), tf.cast(index, tf.int64), ranges))
