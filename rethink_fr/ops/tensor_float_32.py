"""TensorFloat-32, in which newer NVIDIA GPUs multiply float32 numbers of which they read only 10 bits of the fraction.

TensorFlow uses it on its own. Here float32 means float32, so every entrance to the package that computes decides once
whether it is allowed: training and restoring by their precision, where "tf32" allows it; evaluation and export never.
"""

from __future__ import annotations

import tensorflow as tf


def allow_tensor_float_32(allowed: bool) -> None:
    """Let matrix products and convolutions in float32 use TensorFloat-32 on GPUs, or not; for the whole process."""
    tf.config.experimental.enable_tensor_float_32_execution(allowed)
