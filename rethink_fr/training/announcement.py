"""What a run says when it starts: the device, how much there is to do, and how long that will take."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Dict, Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rethink_fr.config.sections import Experiment, TrainingConfig
from rethink_fr.layers.complexity import multiply_accumulates
from rethink_fr.runs.folder import METRICS
from rethink_fr.runs.records import read_records
from rethink_fr.training.callbacks import StepCallback
from rethink_fr.training.trainer import AdversarialTrainer

_UNTIMED = 2  # first steps of a call: TensorFlow prepares the graph in them
_TIMED = 8  # steps that the corrected prediction is from
_SHORT = 100  # a run of fewer steps tells by itself how long it takes
_MATRIX = 1024  # side of the matrices whose product tells how fast the device is
# Seconds of a step over those that the generator's forward pass would take at the speed of a matrix product. We have
# measured 3 to 7 on a processor.
_STEP_OVER_FORWARD = 6.0
_LEAST_STEP = 0.05  # seconds that starting the thousands of operations of a step takes, however small they are


def announce(
    config: Experiment,
    trainer: AdversarialTrainer,
    strategy: tf.distribute.Strategy,
    pictures: int,
    first_step: int,
    output: Path,
) -> None:
    """Say in one line on stderr what is about to be done, and about how long it will take.

    Args:
        config: of the run.
        trainer: of the run, its variables created.
        strategy: over the devices that train.
        pictures: number of training pictures.
        first_step: the step from which the run goes on.
        output: the run's folder.
    """
    training = config.training
    steps = training.steps - first_step
    if steps <= 0:
        return
    groups = [group for turn in trainer.task.turns(first_step) for group in turn.variables.values()]
    trained = {id(variable): variable for group in groups for variable in group}
    parameters = sum(int(np.prod(one.shape)) for one in trained.values())
    # Several replicas on a processor share its cores, and are as one.
    gpus = strategy.num_replicas_in_sync if tf.config.list_physical_devices("GPU") else 0
    seconds = None
    if steps >= _SHORT:
        seconds = _step_before(output, training) if first_step else None
        if seconds is None:
            one = _seconds_by_arithmetic(trainer, config.model.resolution)
            seconds = max(_LEAST_STEP, one * training.global_batch / max(1, gpus))
    when = "" if seconds is None else f", {_finish(steps * seconds)}"
    tqdm.write(
        f"{_devices(gpus)}: {pictures:,} pictures at {config.model.resolution} px, {parameters / 1e6:.2f} M trained "
        f"parameters, {steps:,} steps of {training.global_batch} pictures{when}",
        file=sys.stderr,
    )


class Forecast(StepCallback):
    """Says once, after the first steps, how long the run will take.

    Args:
        training: of the run.
        first_step: the step from which this call of `train` goes on.
    """

    def __init__(self, training: TrainingConfig, first_step: int) -> None:
        super().__init__()
        self._steps = training.steps
        self._start = first_step + _UNTIMED
        self._started = 0.0  # the time; 0 before
        self._told = False

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        if step >= self._start and not self._started:
            self._start, self._started = step, time.perf_counter()
        left, timed = self._steps - step, step - self._start
        if timed >= _TIMED and not self._told and left >= _SHORT:
            self._told = True
            seconds = (time.perf_counter() - self._started) / timed
            tqdm.write(f"step {step}: {seconds:.3g} s a step, {_finish(left * seconds)}", file=sys.stderr)


def _devices(gpus: int) -> str:
    """The devices that train, in words."""
    if not gpus:
        return "processor"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return f"{gpus} x {details.get('device_name', 'GPU')}"


def _step_before(output: Path, training: TrainingConfig) -> Optional[float]:
    """Seconds of a step as the run has recorded them last; None if it has not."""
    speeds = [record["images_per_second"] for record in read_records(output / METRICS) if "images_per_second" in record]
    return training.global_batch / speeds[-1] if speeds and speeds[-1] > 0 else None


def _seconds_by_arithmetic(trainer: AdversarialTrainer, resolution: int) -> float:
    """Seconds of a step for each picture, roughly: from the generator's arithmetic and this device's matrix product."""
    image = tf.TensorSpec([1, resolution, resolution, 3], tf.float32)
    arithmetic = multiply_accumulates(lambda images: trainer.task.generator(images), image)
    matrix = tf.ones([_MATRIX, _MATRIX])
    times = []
    for _ in range(4):
        start = time.perf_counter()
        (matrix @ matrix).numpy()
        times.append(time.perf_counter() - start)
    return _STEP_OVER_FORWARD * arithmetic * min(times) / _MATRIX**3


def duration(seconds: float) -> str:
    """A length of time in words.

    Example:
        >>> duration(9000)
        '2.5 hours'
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 172_800 else f"{seconds / 86400:.1f} days"


def _finish(seconds: float) -> str:
    """How long something takes, and when it ends if it begins now."""
    ends = datetime.now() + timedelta(seconds=seconds)
    return f"about {duration(seconds)}, until {ends:%H:%M on %d %B}"
