"""What the benchmarks share: their arguments, times, the machine's matrix-product peak, and the training step."""

from __future__ import annotations

import argparse
import resource
import time
from statistics import median
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence


class Spent(NamedTuple):
    """What one call took, in seconds."""

    wall: float
    processor: float  # over all cores


class AtPeak(NamedTuple):
    """The time of a call beside the machine's matrix-product peak at that time."""

    seconds: float
    peak: float  # multiply-accumulates a second, the mean of before and after
    before: float  # the same, before

    def efficiency(self, multiply_accumulates: float) -> float:
        """The time that the arithmetic of the call needs at the peak, over the time that it took; at most 1."""
        return multiply_accumulates / self.peak / self.seconds


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a benchmark's docstring, with the argument `--repeats`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="number of calls that are timed")
    return parser


def spent_in_turn(functions: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = 2) -> Dict[str, List[Spent]]:
    """Time several functions, one call of each in turn, so that all see the same machine; some calls do not count."""
    found: Dict[str, List[Spent]] = {name: [] for name in functions}
    for repeat in range(warm_up + repeats):
        for name, function in functions.items():
            wall, processor = time.perf_counter(), time.process_time()
            function()
            if repeat >= warm_up:
                found[name].append(Spent(time.perf_counter() - wall, time.process_time() - processor))
    return found


def median_seconds(functions: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = 2) -> Dict[str, float]:
    """The median wall time of each function; see `spent_in_turn`."""
    spent = spent_in_turn(functions, repeats, warm_up)
    return {name: median(call.wall for call in calls) for name, calls in spent.items()}


def gemm_peak(size: int = 3072, repeats: int = 7) -> float:
    """Multiply-accumulates a second of a large float32 matrix product: what this machine can do now."""
    import tensorflow as tf  # bench_metrics.py needs none

    left, right = tf.random.normal([size, size]), tf.random.normal([size, size])
    product = tf.function(lambda a, b: tf.reduce_sum(a @ b))
    return size**3 / median_seconds({"product": lambda: product(left, right).numpy()}, repeats)["product"]


def at_peak(function: Callable[[], Any], repeats: int, warm_up: int = 2) -> AtPeak:
    """Time a function, and the peak before and after it."""
    before = gemm_peak()
    seconds = median_seconds({"call": function}, repeats, warm_up)["call"]
    return AtPeak(seconds, (before + gemm_peak()) / 2, before)


def peak_memory() -> float:
    """The largest memory that the process has had so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def training_step(trainer: Any, images: Sequence[int], repeats: int, profile: str | None) -> AtPeak:
    """Time the training step of a trainer on noise, and print what it costs beside the peak.

    Args:
        trainer: an `AdversarialTrainer`.
        images: shape of a batch.
        repeats: number of steps that are timed.
        profile: folder for a TensorBoard profile of three steps; None for none.
    """
    import tensorflow as tf

    from rethink_fr.layers.complexity import count_operations

    batch = {name: tf.random.uniform(images, -1, 1) for name in ("degraded", "clean")}
    step = tf.function(trainer.train_step).get_concrete_function(batch)
    counts = count_operations(step.graph)
    total = sum(counts.values())
    found = at_peak(lambda: step(batch), repeats)
    if profile:
        with tf.profiler.experimental.Profile(profile):
            for _ in range(3):
                step(batch)
    listed = ", ".join(f"{kind} {count / 1e9:.2f}" for kind, count in counts.items())
    print(f"matrix-product peak     {found.peak / 1e9:8.1f} GMAC/s (before: {found.before / 1e9:.1f})")
    print(f"arithmetic of one step  {total / 1e9:8.1f} GMAC  {listed}")
    print(f"time of one step        {found.seconds:8.3f} s")
    print(f"efficiency              {found.efficiency(total):8.2f}")
    return found
