"""What happens after each training step: logging it, showing samples, measuring, saving, stopping."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.config.sections import Experiment, TrainingConfig
from rethink_fr.files.writing import write_bytes, write_error
from rethink_fr.pictures.files import encode_png
from rethink_fr.runs.config_file import config_text, settings
from rethink_fr.runs.folder import FINAL_SHEET, METRICS
from rethink_fr.runs.records import is_recorded
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.observation import ObservationInterrupted, Observer
from rethink_fr.training.trainer import STOPPING

SHOWN_SETTINGS = "configuration"  # the name of the settings in TensorBoard; they are written before training begins
_SHOWN_LOSSES = 3  # on the progress bar
_VALIDATION = "validation/"  # how the names of its figures begin


class StepCallback(keras.callbacks.Callback):
    """A callback that counts the trainer's steps. A run is one long epoch, so Keras' own numbers start at 0 each time.

    `logs` are the scalars of the step that was taken last, as `AdversarialTrainer.train_step` returns them. If several
    were taken together, each is a vector; see `by_step`.
    """

    @property
    def step(self) -> int:
        """Number of steps taken, including those before an interruption."""
        return int(self.model.step.numpy())

    def by_step(self, logs: Optional[Dict[str, Any]]) -> Iterator[Tuple[int, Dict[str, float]]]:
        """The steps that were taken together, one by one: the number of steps taken with it, and its scalars."""
        vectors = {name: np.atleast_1d(values) for name, values in (logs or {}).items() if name != STOPPING}
        count = max((len(values) for values in vectors.values()), default=1)
        first = self.step - count + 1
        for number in range(count):
            yield first + number, {name: float(values[number]) for name, values in vectors.items()}


class FollowTask(StepCallback):
    """Calls the task's `after_step`, and has the step traced again when the task enters another phase.

    Every worker needs this callback. It must come before `SaveCheckpoints`, which saves what `after_step` changed.
    """

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        self.model.enter_phase(self.step)

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        self.model.take_over(self.model.task.after_step(step) or ())
        if self.model.enter_phase(step):
            self.model.make_train_function(force=True)  # `fit` looks the function up at every step


class StopOnSignal(keras.callbacks.Callback):
    """Ends training after the current step on SIGINT, SIGTERM or SIGHUP, so that the run can be saved and continued.

    Signals are caught from the start of training until `close`, which comes after the last checkpoint. A second SIGINT
    or SIGTERM has its usual effect. A second SIGHUP has none, because a closing terminal sends several. If SIGHUP was
    ignored from the start (`nohup`), it still is.

    Several workers have to stop at the same step, or they would wait for each other for ever. So one of them tells the
    others, by a scalar of the next step, and all of them stop after that one.

    Args:
        workers: whether there are several. The callback must then be made outside of the strategy's scope.

    Attributes:
        signal: number of the signal that ended the run; 0 if none did. SIGTERM, if another worker got the signal.
    """

    def __init__(self, workers: bool = False) -> None:
        super().__init__()
        self.signal = 0
        self._wish = tf.Variable(0.0, trainable=False) if workers else None  # this worker's, above 0: to stop
        self._previous: Dict[int, Any] = {}

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._previous[number] = signal.signal(number, self._handle)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        if self._wish is not None:
            model.wants_to_stop = self._wish.read_value

    def on_train_batch_begin(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self.signal and self._wish is not None:
            self._wish.assign(1.0)

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self._wish is not None and np.any((logs or {})[STOPPING] > 0):
            self.signal = self.signal or signal.SIGTERM
            self.model.stop_training = True
        elif self._wish is None and self.signal:
            self.model.stop_training = True

    def close(self) -> None:
        """Let signals have their usual effect again. May be called twice."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: object) -> None:
        self.signal = number
        if number == signal.SIGHUP:
            self._previous[number] = signal.SIG_IGN
        self.close()


class RunLog(StepCallback):
    """Writes the scalars to TensorBoard and to `metrics.jsonl`, and shows the progress bar.

    Each record holds the means over the last `log_every` steps. The last record of a call of `train` may be over fewer
    steps, and so may the first one of the next call; `steps_averaged` tells over how many.

    Args:
        directory: the run's folder.
        training: of the run: its last step, its batch, and `log_every`, the number of steps from record to record.
        first_step: the step from which this call of `train` goes on.
    """

    def __init__(self, directory: Path, training: TrainingConfig, first_step: int) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(directory / "logs"))
        self._path = directory / "metrics.jsonl"
        # Unbuffered, so that nothing is left to be written, and to fail, later.
        self._file = self._path.open("ab", buffering=0)
        self._training = training
        self._first_step = first_step
        self._bar: Any = None  # until training begins
        self._last: Dict[str, float] = {}  # the scalars of the last step

    def on_train_begin(self, logs: Optional[Dict[str, float]] = None) -> None:
        total, first = self._training.steps, self._first_step
        self._bar = tqdm(total=total, initial=first, unit="step", desc="train", dynamic_ncols=True)
        self._start_interval()

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        step = self.step
        for _, scalars in self.by_step(logs):
            self._last = scalars
            self._steps += 1
            self._bar.update()
            for name, value in scalars.items():
                if not math.isfinite(value):
                    continue  # the gradient norm of a step that was skipped; others have ended the run
                total, count = self._sums.get(name, (np.float32(0.0), 0))
                self._sums[name] = total + np.float32(value), count + 1
        if step % self._training.log_every == 0 or step == self._training.steps:
            self._write_means(step)

    def on_train_end(self, logs: Optional[Dict[str, float]] = None) -> None:
        if self._steps:  # a signal ended the run within an interval
            self._write_means(self.step)
        self.close()

    def write(self, step: int, scalars: Dict[str, float], steps_averaged: Optional[int] = None) -> None:
        """Write one record.

        Args:
            step: the last step that the record is about.
            scalars: values by name.
            steps_averaged: number of steps that the values are means over; None if they belong to one step.

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

    def write_configuration(self, config: Experiment) -> None:
        """Show a run's settings in TensorBoard: as text, and among its HParams."""
        # Markdown shows indented text as it is.
        text = "".join(f"    {line}\n" for line in config_text(config).splitlines())
        with self._writer.as_default(step=self._first_step):
            values = settings(config)
            # Without this list every scalar would be a column.
            figures = [hparams.Metric(f"{_VALIDATION}{name}") for name in ("psnr", "ssim")]
            hparams.hparams_config([hparams.HParam(key) for key in values], figures)
            hparams.hparams(values)
            # Last: a run that was killed before this is here writes all of it again.
            tf.summary.text(SHOWN_SETTINGS, text)
        self._writer.flush()

    def write_picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a picture, uint8 `[H, W, 3]`, to TensorBoard."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])
        self._writer.flush()

    def pause(self) -> float:
        """Stop the clock behind `images_per_second`; give the result to `resume`."""
        return time.perf_counter()

    def resume(self, paused: float) -> None:
        """Let the clock run again after `pause`."""
        self._interval_start += time.perf_counter() - paused

    def close(self) -> None:
        """Close the progress bar and the files. May be called twice."""
        if self._bar is not None:
            self._bar.close()
        self._writer.close()
        self._file.close()

    def _write_means(self, step: int) -> None:
        # What the step before a boundary had and the last one has not is left out.
        sums = {name: self._sums[name] for name in self._last if name in self._sums}
        scalars = {name: float(total / np.float32(count)) for name, (total, count) in sums.items()}
        elapsed = time.perf_counter() - self._interval_start
        scalars["images_per_second"] = self._steps * self._training.global_batch / elapsed
        self.write(step, scalars, self._steps)
        losses = [name for name in scalars if name.startswith("loss/")][:_SHOWN_LOSSES]
        self._bar.set_postfix({name.removeprefix("loss/"): f"{scalars[name]:.3g}" for name in losses})
        self._start_interval()

    def _start_interval(self) -> None:
        self._interval_start = time.perf_counter()
        self._steps = 0
        self._sums: Dict[str, Tuple[np.float32, int]] = {}  # sum and number of values, in TensorFlow's precision


class Observation(StepCallback):
    """Makes sample sheets and measures the validation faces, each every so many steps and after the last one.

    A signal cuts this short, so that the run is saved in time; `make_up` does then what was left out.

    Args:
        observer: of the average of the generator.
        log: where pictures and figures are written.
        directory: the run's folder.
        training: of the run: its last step, and the numbers of steps from one time to the next.
        stop: knows of signals.
    """

    def __init__(
        self, observer: Observer, log: RunLog, directory: Path, training: TrainingConfig, stop: StopOnSignal
    ) -> None:
        super().__init__()
        self._observer = observer
        self._log = log
        self._directory = directory
        self._training = training
        self._stop = stop
        self._figures: Dict[str, float] = {}  # of the last step
        observer.interrupted = lambda: bool(stop.signal)

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        paused = self._log.pause()
        with contextlib.suppress(ObservationInterrupted):
            self._observe(self.step, drawn=False, measured=False)
        self._log.resume(paused)

    def make_up(self, step: int) -> None:
        """Do what a signal kept from being done after the step that the run now goes on from."""
        if step:
            measured = is_recorded(self._directory / METRICS, step, f"{_VALIDATION}psnr")
            self._observe(step, drawn=self._sheet(step).exists(), measured=measured)

    def final(self) -> Dict[str, float]:
        """The figures of the last step. Also draws its sheet, unless that was done. A signal cuts this short, too."""
        if not self._figures:
            with contextlib.suppress(ObservationInterrupted):
                figures = self._observer.validate()
                write_bytes(self._directory / FINAL_SHEET, encode_png(self._observer.sheet()))
                self._figures = figures
        return self._figures

    def _observe(self, step: int, drawn: bool, measured: bool) -> None:
        """Do what is due after a step and was not done yet."""
        last = step == self._training.steps
        if (last or step % self._training.sample_every == 0) and not drawn:
            sheet = self._observer.sheet()
            write_bytes(self._sheet(step), encode_png(sheet))
            if last:
                write_bytes(self._directory / FINAL_SHEET, encode_png(sheet))
            self._log.write_picture(step, "samples", sheet)
        if (last or step % self._training.validate_every == 0) and not measured:
            figures = self._observer.validate()
            self._log.write(step, {f"{_VALIDATION}{name}": value for name, value in figures.items()})
            if last:
                self._figures = figures

    def _sheet(self, step: int) -> Path:
        return self._directory / "samples" / f"step_{step:07d}.png"


class SaveCheckpoints(StepCallback):
    """Saves a checkpoint every `every` steps, and then calls `saved`. Every worker needs this callback."""

    def __init__(self, checkpoints: Checkpoints, every: int, saved: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every
        self._saved = saved

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        if self.step % self._every == 0:
            self._checkpoints.save()
            self._saved()
