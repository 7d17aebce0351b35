"""What the benchmarks share: medians of repeated calls and the machine's matrix-product peak."""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Callable

import tensorflow as tf


def median_seconds(function: Callable[[], Any], repeats: int = 7, warm_up: int = 2) -> float:
    """Median wall time of one call."""
    for _ in range(warm_up):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


def gemm_peak(size: int = 3072, repeats: int = 7) -> float:
    """Multiply-accumulates a second of a large float32 matrix product: the yardstick on this machine, now."""
    left, right = tf.random.normal([size, size]), tf.random.normal([size, size])
    product = tf.function(lambda a, b: tf.reduce_sum(a @ b))
    return size**3 / median_seconds(lambda: product(left, right).numpy(), repeats)
