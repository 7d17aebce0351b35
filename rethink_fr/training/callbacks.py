"""What happens between training steps: guarding, logging, looking, saving, stopping."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.files.writing import write_bytes, write_error
from rethink_fr.pictures.files import encode_png
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.observation import Observer

_SHOWN_LOSSES = 3  # on the progress bar


class NonFiniteError(ArithmeticError):
    """A loss term or gradient norm became infinite or NaN.

    Attributes:
        step: at which it did.
        terms: names of those that did.
    """

    def __init__(self, message: str, step: int, terms: Sequence[str]) -> None:
        super().__init__(message)
        self.step = step
        self.terms = terms


class _StepCallback(keras.callbacks.Callback):
    """A callback that goes by the trainer's step, the only clock of a run."""

    @property
    def step(self) -> int:
        """Steps taken, those before an interruption included."""
        return int(self.model.step.numpy())


class NonFiniteGuard(_StepCallback):
    """Stops the run at the first step whose scalars are not finite, naming step and term.

    It has to stand before `SaveCheckpoints`, so that no bad weights are saved.
    """

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        bad = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if bad:
            message = f"{', '.join(bad)} became non-finite at step {self.step}; the checkpoints before it are kept"
            raise NonFiniteError(message, self.step, bad)


class RunLog(_StepCallback):
    """Writes scalars, averaged over `every` steps, to TensorBoard and `metrics.jsonl`, and drives the progress bar.

    An interval that the run's end or an interruption cuts is recorded too, and so is the rest of it when the run goes
    on: `steps_averaged` of each record in `metrics.jsonl` is the number of steps that its means are over.

    Args:
        directory: of the run.
        every: steps between two records.
        first_step, last_step: of this call, for the progress bar.
        global_batch: images a step.
    """

    def __init__(self, directory: Path, every: int, first_step: int, last_step: int, global_batch: int) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(directory / "logs"))
        self._path = directory / "metrics.jsonl"
        # Unbuffered: nothing is left that could be written, or fail to be, later.
        self._file = self._path.open("ab", buffering=0)
        self._every = every
        self._first_step = first_step
        self._last_step = last_step
        self._global_batch = global_batch
        self._bar: Any = None  # until training begins

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        self._bar = tqdm(total=self._last_step, initial=self._first_step, unit="step", desc="train", dynamic_ncols=True)
        self._start_interval()

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        self._steps_in_interval += 1
        self._means = logs or {}
        self._bar.update()
        if step % self._every == 0 or step == self._last_step:
            self._write_means(step)

    def on_train_end(self, logs: Optional[Dict[str, float]] = None) -> None:
        if self._steps_in_interval:  # a signal ended the run within an interval
            self._write_means(self.step)
        self.close()

    def write(self, step: int, scalars: Dict[str, float], steps_averaged: Optional[int] = None) -> None:
        """Record scalars of one step, or their means over so many steps up to it.

        Raises:
            WriteError: if the disk does not take it.
        """
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()
        record: Dict[str, float] = {"step": step}
        if steps_averaged is not None:
            record["steps_averaged"] = steps_averaged
        record.update({name: float(f"{value:.6g}") for name, value in scalars.items()})
        line = (json.dumps(record) + "\n").encode()
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise write_error(self._path, error) from error

    def write_picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Record a uint8 `[H, W, 3]` picture of one step in TensorBoard."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])
        self._writer.flush()

    def pause(self) -> float:
        """Take out of the images per second what follows, until `resume` gets the returned value."""
        return time.perf_counter()

    def resume(self, paused: float) -> None:
        """See `pause`."""
        self._interval_start += time.perf_counter() - paused

    def close(self) -> None:
        """Close the bar and the files; safe to call twice."""
        if self._bar is not None:
            self._bar.close()
        self._writer.close()
        self._file.close()

    def _write_means(self, step: int) -> None:
        scalars = {name: float(value) for name, value in self._means.items()}
        elapsed = time.perf_counter() - self._interval_start
        scalars["images_per_second"] = self._steps_in_interval * self._global_batch / elapsed
        self.write(step, scalars, self._steps_in_interval)
        losses = [name for name in scalars if name.startswith("loss/")][:_SHOWN_LOSSES]
        self._bar.set_postfix({name.removeprefix("loss/"): f"{scalars[name]:.3g}" for name in losses})
        self._start_interval()

    def _start_interval(self) -> None:
        self._interval_start = time.perf_counter()
        self._steps_in_interval = 0


class FollowTask(_StepCallback):
    """Does the task's work outside the graph after each step, and has the step traced anew at the task's boundaries.

    Every worker needs it. It has to stand before `SaveCheckpoints`, which saves what `after_step` changed.
    """

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        self.model.enter_phase(self.step)

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        self.model.task.after_step(step)
        if self.model.enter_phase(step):
            self.model.make_train_function(force=True)  # `fit` looks the function up at every step


class RestartMeans(_StepCallback):
    """Starts the averages of the scalars anew every `every` steps, after `RunLog` has written them.

    Every worker needs it: resetting a metric is a collective operation, which one worker alone would wait in.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every = every

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self.step % self._every == 0:
            self.model.reset_metrics()


class Observation(_StepCallback):
    """Draws sample sheets and validates, every so many steps.

    Args:
        observer: over the generator's average.
        log: where pictures and figures go.
        directory: of the sample sheets.
        sample_every, validate_every: in steps.
    """

    def __init__(
        self, observer: Observer, log: RunLog, directory: Path, sample_every: int, validate_every: int
    ) -> None:
        super().__init__()
        self._observer = observer
        self._log = log
        self._directory = directory
        self._sample_every = sample_every
        self._validate_every = validate_every

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        paused = self._log.pause()
        if step % self._sample_every == 0:
            sheet = self._observer.sheet()
            write_bytes(self._directory / f"step_{step:07d}.png", encode_png(sheet))
            self._log.write_picture(step, "samples", sheet)
        if step % self._validate_every == 0:
            figures = self._observer.validate()
            self._log.write(step, {f"validation/{name}": value for name, value in figures.items()})
        self._log.resume(paused)


class SaveCheckpoints(_StepCallback):
    """Saves every `every` steps, and calls `saved` after that."""

    def __init__(self, checkpoints: Checkpoints, every: int, saved: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every
        self._saved = saved

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self.step % self._every == 0:
            self._checkpoints.save()
            self._saved()


class StopOnSignal(keras.callbacks.Callback):
    """Ends training after the current step on SIGINT, SIGTERM or SIGHUP, so that the run can save and be continued.

    A second SIGINT or SIGTERM has the usual effect. After a SIGHUP, no other one has any: a terminal that goes away
    sends several. Where it was to be ignored from the start (`nohup`), it is. `interrupted` tells afterwards.
    """

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = False
        self._previous: Dict[int, Any] = {}

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._previous[number] = signal.signal(number, self._handle)

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self.interrupted:
            self.model.stop_training = True

    def on_train_end(self, logs: Optional[Dict[str, float]] = None) -> None:
        self._release()

    def _handle(self, number: int, frame: object) -> None:
        self.interrupted = True
        if number == signal.SIGHUP:
            self._previous[number] = signal.SIG_IGN
        self._release()

    def _release(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
