"""`rethink-fr train`: from a configuration to a trained run, one stage after the other."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.precision import why_float32
from rethink_fr.config.sections import Experiment
from rethink_fr.files.names import printable
from rethink_fr.files.writing import clear_temporary
from rethink_fr.layers.precision import set_precision
from rethink_fr.layers.recompute import set_recompute
from rethink_fr.ops.implementation import try_on_gpus
from rethink_fr.runs.config_file import learning_rates, save_config, with_rates_lowered
from rethink_fr.runs.divergence import (
    Rollback,
    checkpoint_before,
    forget_divergence,
    rate_factor,
    read_rollbacks,
    record_divergence,
    write_rollbacks,
)
from rethink_fr.runs.failures import told_plainly
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, FINAL_SHEET, LOGS, METRICS, is_chief, run_lock, started_config
from rethink_fr.runs.records import forget_events, forget_records, forget_sheets, has_event, put_in_order
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.announcement import Forecast, announce
from rethink_fr.training.callbacks import (
    SHOWN_SETTINGS,
    FollowTask,
    Observation,
    RunLog,
    SaveCheckpoints,
    StopOnSignal,
)
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.devices import make_strategy, require_same_step
from rethink_fr.training.divergence import DivergenceError, DivergenceGuard
from rethink_fr.training.initialise import initialise
from rethink_fr.training.loss_scale import LossScale
from rethink_fr.training.observation import Embed, Observer
from rethink_fr.training.pictures import RunPictures, fixed_faces, keep_list, open_run_pictures, write_unreadable
from rethink_fr.training.trainer import AdversarialTrainer, build_averaged


class TrainingReport(NamedTuple):
    """How a call of `train` ended."""

    step: int  # number of steps taken in the whole run
    signal: int  # number of the signal that ended it early, 0 if none did
    figures: Dict[str, float]  # see `Observer.validate`; empty if the run is not finished, or on another worker
    sheet: Path  # the sample sheet of the end
    unreadable: int  # number of training pictures that were skipped; `unreadable.txt` lists them

    @property
    def finished(self) -> bool:
        """Whether no signal ended it early."""
        return not self.signal


def train(
    config: Experiment,
    strategy_name: str,
    output: Path,
    resume_from: Optional[int] = None,
    saved: Callable[[], None] = lambda: None,
    embed: Optional[Embed] = None,
) -> TrainingReport:
    """Train until `training.steps`; a run that `output` holds already is continued.

    Args:
        config: of the run.
        strategy_name: "one", "mirrored" or "multiworker" (the last reads the environment variable TF_CONFIG).
        output: the run's folder. It gets `config.yaml`, `checkpoints/`, `logs/`, `metrics.jsonl` and `samples/`.
        resume_from: step of the checkpoint to continue from; None for the newest. Later checkpoints are put aside.
        saved: called on the chief after each checkpoint.
        embed: the network of the setting `training.identity_network`; see `Observer`.

    Raises:
        ConfigError: if the configuration does not fit the run in `output`, the data or the devices.
        CheckpointError: if the run in `output` has checkpoints but none that is whole and fits.
        LockedError: if another process trains in `output`.
        DivergenceError: if the run diverges, and is not to be rolled back or has been so too often.
        RunFailure: if a file cannot be written, the disk is full, or too many pictures cannot be read.
    """
    chief = is_chief(strategy_name)
    with run_lock(output) if chief else contextlib.nullcontext(), told_plainly(output):
        strategy = make_strategy(strategy_name, config.training)
        if threading.current_thread() is threading.main_thread():
            # TensorFlow's coordination of workers catches SIGTERM, for a use that is not ours.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
        try_on_gpus()
        _check_batch(config, strategy)
        if strategy_name == "multiworker" and config.training.on_divergence == "roll_back":
            raise ConfigError(
                "training.on_divergence: roll_back needs --strategy one or mirrored, several workers can only stop; "
                "set it to stop"
            )
        pictures = open_run_pictures(config.data, config.model.resolution, output)
        rollbacks = read_rollbacks(output)
        while True:
            try:
                return _train(
                    config, strategy, output, pictures, rollbacks, resume_from, saved if chief else None, embed
                )
            except DivergenceError as error:
                if not chief:
                    raise
                rollbacks = [*rollbacks, _plan_rollback(config, output, error, rollbacks)]
                resume_from = rollbacks[-1].to_step or None  # None: no checkpoint is there yet
            gc.collect()  # the networks that diverged make room for those that go on


def _train(
    config: Experiment,
    strategy: tf.distribute.Strategy,
    output: Path,
    pictures: RunPictures,
    rollbacks: List[Rollback],
    resume_from: Optional[int],
    saved: Optional[Callable[[], None]],
    embed: Optional[Embed],
) -> TrainingReport:
    """Train until the last step, a signal or a divergence. `saved` is None on workers that are not the chief.

    Of `rollbacks` the last one may be new: then this is the attempt that goes on from it.
    """
    chief = saved is not None
    factor = rate_factor(rollbacks, learning_rates(config))
    with strategy.scope():
        trainer = build_trainer(with_rates_lowered(config, factor))
    if chief:
        started_config(output)  # raises a ConfigError if the run in the folder is not whole
    checkpoints = Checkpoints(output / CHECKPOINTS, trainer, config.training.keep_checkpoints, chief)
    first_step = checkpoints.restore(resume_from)
    require_same_step(first_step, output, strategy)
    together = config.training.steps_per_execution
    if first_step % together:
        raise ConfigError(
            f"training.steps_per_execution: expected a divisor of {first_step}, the step that the run goes on from, "
            f"got {together}"
        )
    changed = chief and _prepare_folder(config, output, pictures)
    keep_list(pictures, output, strategy, chief)
    if config.training.init and checkpoints.saved_step < 0:
        _start_from_another_run(config, trainer, strategy, chief)
    log, observation = None, None
    stop = StopOnSignal(workers=isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy))
    shown: List[keras.callbacks.Callback] = []
    if chief:
        _forget_later_steps(output, first_step)
        log = RunLog(output, config.training, first_step)
        if changed:
            log.write_configuration(config)
        if rollbacks:
            _tell_rollbacks(output, rollbacks, factor, log)
        inference = SYSTEMS[config.architecture].inference(trainer.average, "float32")
        faces = fixed_faces(config, pictures.validation)
        observer = Observer(inference, *faces, trainer.task.reconstructs, embed=embed)
        observation = Observation(observer, log, output, config.training, stop)
        shown = [log, observation, Forecast(config.training, first_step)]
        announce(config, trainer, strategy, len(pictures.train), first_step, output)
    callbacks = [*_callbacks(config, checkpoints, shown, saved or (lambda: None)), stop]
    steps = config.training.steps - first_step
    with contextlib.closing(stop):
        # The log is closed at once: what is said about an error must not begin on the line of its progress bar.
        with contextlib.closing(log) if log is not None else contextlib.nullcontext():
            if observation is not None:
                observation.make_up(first_step)
            if steps > 0:
                batches = pictures.batches(config, strategy, first_step, degrade=not trainer.task.reconstructs)
                # All steps are one epoch for Keras; our callbacks count them.
                trainer.fit(batches, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
                checkpoints.save()
        checkpoints.close()
        figures = observation.final() if observation is not None and not stop.signal else {}
    step, skipped = int(trainer.step.numpy()), len(pictures.train.unreadable)
    return TrainingReport(step, stop.signal, figures, output / FINAL_SHEET, skipped)


def build_trainer(config: Experiment) -> AdversarialTrainer:
    """Make the compiled trainer of a configuration, of whichever system. Call it inside the strategy's scope.

    Raises:
        ConfigError: if the system cannot be trained, or the configuration names weights that cannot be loaded.
    """
    system = SYSTEMS[config.architecture]
    if system.task is None:
        raise ConfigError(f"architecture: {config.architecture} cannot be trained by this version")
    keras.utils.set_random_seed(config.training.seed)
    task = system.task(config)
    precision = config.training.precision
    reason = why_float32(precision, config.training.force_precision, bool(tf.config.list_physical_devices("GPU")))
    if reason:
        tqdm.write(f"rethink-fr: {reason} (training.force_precision=true insists)", file=sys.stderr)
        precision = "float32"
    for part in task.saved.values():
        if isinstance(part, tf.Module):
            set_precision(part, precision)
    # Not the discriminators: their R1 differentiates a gradient.
    for network in (task.generator, task.perceptual):
        if network is not None:
            set_recompute(network, config.training.recompute)
    average = build_averaged(lambda: system.build(config.model))
    together = config.training.steps_per_execution
    # Also where float32 takes the place of float16, so that the run can be continued elsewhere.
    loss_scale = LossScale() if config.training.precision == "float16" else None
    trainer = AdversarialTrainer(
        task, average, config.training.average_decay, config.training.seed, together, loss_scale
    )
    for phase in trainer.phases():
        if phase % together:
            raise ConfigError(
                f"training.steps_per_execution: expected a divisor of {phase}, the step from which on something else "
                f"is computed, got {together}"
            )
    trainer.compile()
    return trainer


def _check_batch(config: Experiment, strategy: tf.distribute.Strategy) -> None:
    batch, replicas = config.training.global_batch, strategy.num_replicas_in_sync
    if batch % replicas:
        raise ConfigError(f"training.global_batch: expected a multiple of the {replicas} replicas, got {batch}")
    share, parts = batch // replicas, config.training.accumulate
    if share % parts:
        raise ConfigError(f"training.accumulate: expected a divisor of the {share} images of each replica, got {parts}")


def _prepare_folder(config: Experiment, output: Path, pictures: RunPictures) -> bool:
    """Write what a run's folder holds from the start; the configuration first, without which nothing is continued.

    Returns whether the configuration is not in the logs yet.
    """
    for folder in (output, output / "samples", output / LOGS):
        clear_temporary(folder, held=True)
    forget_divergence(output)
    changed = started_config(output) != config
    if changed:
        save_config(config, output / CONFIG)
    (output / "samples").mkdir(parents=True, exist_ok=True)
    if pictures.train.unreadable:
        write_unreadable(output, pictures.train)
    return changed or not has_event(output / LOGS, SHOWN_SETTINGS)


def _start_from_another_run(
    config: Experiment, trainer: AdversarialTrainer, strategy: tf.distribute.Strategy, chief: bool
) -> None:
    with strategy.scope():
        loaded = initialise(trainer, config)
    if chief:
        tqdm.write(f"starting from {config.training.init}: {', '.join(loaded)}", file=sys.stderr)


def _forget_later_steps(output: Path, step: int) -> None:
    """Remove the records of steps that will be taken again, and lines that a killed process left incomplete."""
    broken = forget_records(output / METRICS, step)
    if broken:
        tqdm.write(f"rethink-fr: {printable(output / METRICS)}: {broken} broken lines were cut off", file=sys.stderr)
    forget_events(output / LOGS, step)
    forget_sheets(output / "samples", step)
    put_in_order(output / LOGS, time.time())


def _plan_rollback(config: Experiment, output: Path, error: DivergenceError, rollbacks: Sequence[Rollback]) -> Rollback:
    """Decide where a run that has diverged goes on.

    Raises:
        DivergenceError: if it does not. That is noted in the run's folder, and the error says what to do.
    """
    training, rates = config.training, learning_rates(config)
    if training.on_divergence == "roll_back" and len(rollbacks) < training.rollback_times:
        to_step = checkpoint_before(output, error.step)
        return Rollback(error.step, error.what, to_step, training.rollback_factor, rates)
    times = f" after {len(rollbacks)} roll-back{'s' * (len(rollbacks) > 1)}" if rollbacks else ""
    now = {key: rate * rate_factor(rollbacks, rates) for key, rate in rates.items()}
    message = record_divergence(output, error.step, f"{error.what}{times}", now)
    raise DivergenceError(message, error.step, error.what)


def _tell_rollbacks(output: Path, rollbacks: List[Rollback], factor: float, log: RunLog) -> None:
    """Say in one line what has been lowered. Record the last roll-back, if it is new: the run goes on from it now."""
    last = rollbacks[-1]
    if rollbacks != read_rollbacks(output):
        write_rollbacks(output, rollbacks)
        log.write(last.to_step, {"rollback/diverged_at": last.diverged_at, "rollback/rate_factor": factor})
    tqdm.write(
        f"rethink-fr: {last.what} at step {last.diverged_at}: went back to step {last.to_step}; learning rates are "
        f"{factor:g} of the settings' (roll-back {len(rollbacks)})",
        file=sys.stderr,
    )


def _callbacks(
    config: Experiment,
    checkpoints: Checkpoints,
    shown: Sequence[keras.callbacks.Callback],
    saved: Callable[[], None],
) -> List[keras.callbacks.Callback]:
    """What happens after each step, in this order; `shown` is what only the chief has."""
    training = config.training
    return [
        DivergenceGuard(training),
        FollowTask(),
        *shown,
        SaveCheckpoints(checkpoints, training.checkpoint_every, saved),
    ]
