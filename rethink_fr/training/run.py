"""`rethink-fr train`: from a configuration to a trained run, one stage after the other."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.data.pipeline import failure_of_reads
from rethink_fr.errors import RunFailure, is_full_disk
from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError, clear_temporary, write_bytes
from rethink_fr.layers.precision import set_precision
from rethink_fr.pictures.files import encode_png
from rethink_fr.runs.config_file import learning_rates, save_config
from rethink_fr.runs.divergence import forget_divergence, record_divergence
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, FINAL_SHEET, LOGS, METRICS, is_chief, run_lock, started_config
from rethink_fr.runs.records import forget_events, forget_records
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.callbacks import (
    FollowTask,
    NonFiniteError,
    NonFiniteGuard,
    Observation,
    RunLog,
    SaveCheckpoints,
    StopOnSignal,
)
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.initialise import initialise
from rethink_fr.training.observation import Observer
from rethink_fr.training.pictures import RunPictures, fixed_faces, keep_list, open_run_pictures, write_unreadable
from rethink_fr.training.trainer import AdversarialTrainer, build_averaged


class TrainingReport(NamedTuple):
    """How a call of `train` ended."""

    step: int  # number of steps taken in the whole run
    finished: bool  # False if a signal ended it early
    figures: Dict[str, float]  # see `Observer.validate`; empty if the run is not finished, or on another worker
    sheet: Path  # the sample sheet of the end
    unreadable: int  # number of training pictures that were skipped; `unreadable.txt` lists them


def train(
    config: Experiment,
    strategy_name: str,
    output: Path,
    resume_from: Optional[int] = None,
    saved: Callable[[], None] = lambda: None,
) -> TrainingReport:
    """Train until `training.steps`; a run that `output` holds already is continued.

    Args:
        config: of the run.
        strategy_name: "one", "mirrored" or "multiworker" (the last reads the environment variable TF_CONFIG).
        output: the run's folder. It gets `config.yaml`, `checkpoints/`, `logs/`, `metrics.jsonl` and `samples/`.
        resume_from: step of the checkpoint to continue from; None for the newest. Later checkpoints are put aside.
        saved: called on the chief after each checkpoint.

    Raises:
        ConfigError: if the configuration does not fit the run in `output`, the data or the devices.
        CheckpointError: if the run in `output` has checkpoints but none that is whole and fits.
        LockedError: if another process trains in `output`.
        NonFiniteError: if a loss or a gradient norm is no longer finite.
        RunFailure: if a file cannot be written, the disk is full, or too many pictures cannot be read.
    """
    chief = is_chief(strategy_name)
    with run_lock(output) if chief else contextlib.nullcontext(), told_plainly(output):
        strategy = make_strategy(strategy_name, config.training.logical_cpus)
        _check_batch(config, strategy)
        pictures = open_run_pictures(config.data, config.model.resolution, output)
        with strategy.scope():
            trainer = build_trainer(config)
        if chief:
            started_config(output)  # raises a ConfigError if the run in the folder is not whole
        checkpoints = Checkpoints(output / CHECKPOINTS, trainer, config.training.keep_checkpoints, chief)
        first_step = checkpoints.restore(resume_from)
        if chief:
            _prepare_folder(config, output, pictures)
        keep_list(pictures, output, strategy, chief)
        if config.training.init and checkpoints.saved_step < 0:
            _start_from_another_run(config, trainer, strategy, chief)
        log = observer = None
        if chief:
            _forget_later_steps(output, first_step)
            log = RunLog(output, config.training, first_step)
            inference = SYSTEMS[config.architecture].inference(trainer.average, "float32")
            observer = Observer(inference, *fixed_faces(config, pictures.validation), trainer.task.reconstructs)
        stop = StopOnSignal()
        callbacks = _callbacks(config, output, checkpoints, log, observer, saved if chief else lambda: None)
        if strategy_name != "multiworker":  # workers stopped at different steps would wait for each other for ever
            callbacks.append(stop)
        steps = config.training.steps - first_step
        if steps > 0:
            batches = pictures.batches(config, strategy, first_step, degrade=not trainer.task.reconstructs)
            # The log is closed at once: what is said about an error must not begin on the line of its progress bar.
            with contextlib.closing(log) if log is not None else contextlib.nullcontext():
                with _divergence_recorded(config, output) if chief else contextlib.nullcontext():
                    # All steps are one epoch for Keras; our callbacks count them.
                    trainer.fit(batches, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
            checkpoints.save()
        checkpoints.close()
        figures = {}
        if observer is not None and not stop.interrupted:
            figures = observer.validate()
            write_bytes(output / FINAL_SHEET, encode_png(observer.sheet()))
        step, skipped = int(trainer.step.numpy()), len(pictures.train.unreadable)
        return TrainingReport(step, not stop.interrupted, figures, output / FINAL_SHEET, skipped)


def make_strategy(name: str, logical_cpus: int = 0) -> tf.distribute.Strategy:
    """Make the distribution strategy "one", "mirrored" or "multiworker", over the GPUs or else the CPU.

    Args:
        name: of the strategy.
        logical_cpus: split the CPU into so many devices, to try `mirrored` without GPUs; 0 leaves it whole. The CPU
            must not have been used before.

    Raises:
        ConfigError: if several workers are asked for and TF_CONFIG does not name them.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
    if name == "one":
        return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(
            None if gpus and not logical_cpus else [f"CPU:{number}" for number in range(max(1, logical_cpus))]
        )
    if not os.environ.get("TF_CONFIG"):
        raise ConfigError(
            "--strategy multiworker: the environment variable TF_CONFIG is not set; it must name all workers and "
            'this one: {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


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
    for part in task.saved.values():
        if isinstance(part, tf.Module):
            set_precision(part, config.training.precision)
    average = build_averaged(lambda: system.build(config.model))
    trainer = AdversarialTrainer(task, average, config.training.average_decay, config.training.seed)
    trainer.compile()
    return trainer


@contextlib.contextmanager
def told_plainly(output: Path) -> Iterator[None]:
    """Turn what ends a run from outside into a `RunFailure` in the user's terms: a full disk, pictures, other files.

    TensorFlow passes on the text of Python's exceptions only, and has several names for a full disk.

    Args:
        output: the run's folder.
    """
    try:
        yield
    except (OSError, ValueError, tf.errors.OpError) as error:
        failure = failure_of_reads() if isinstance(error, tf.errors.OpError) else None
        if isinstance(failure, RunFailure):
            raise failure from error
        if is_full_disk(error):
            saved = any((output / CHECKPOINTS).glob("*.index"))
            kept = "its last checkpoint is whole" if saved else "nothing was saved yet"
            raise RunFailure(
                f"{printable(output)}: no space is left on the disk; the run stops, {kept}: make room there, then run "
                "the same command again to continue"
            ) from error
        if isinstance(error, (OSError, WriteError)):
            raise RunFailure(f"{error}; what was saved is whole: run the same command again to continue") from error
        raise


def _check_batch(config: Experiment, strategy: tf.distribute.Strategy) -> None:
    batch, replicas = config.training.global_batch, strategy.num_replicas_in_sync
    if batch % replicas:
        raise ConfigError(f"training.global_batch: expected a multiple of the {replicas} replicas, got {batch}")


def _prepare_folder(config: Experiment, output: Path, pictures: RunPictures) -> None:
    """Write what a run's folder holds from the start; the configuration first, without which nothing is continued."""
    for folder in (output, output / "samples", output / LOGS):
        clear_temporary(folder, held=True)
    forget_divergence(output)
    if started_config(output) != config:
        save_config(config, output / CONFIG)
    (output / "samples").mkdir(parents=True, exist_ok=True)
    if pictures.train.unreadable:
        write_unreadable(output, pictures.train)


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


def _callbacks(
    config: Experiment,
    output: Path,
    checkpoints: Checkpoints,
    log: Optional[RunLog],
    observer: Optional[Observer],
    saved: Callable[[], None],
) -> List[keras.callbacks.Callback]:
    """What happens after each step, in this order. Only the chief has a log and an observer."""
    training = config.training
    callbacks: List[keras.callbacks.Callback] = [NonFiniteGuard(), FollowTask()]
    if log is not None and observer is not None:
        observation = Observation(observer, log, output / "samples", training.sample_every, training.validate_every)
        callbacks += [log, observation]
    return [*callbacks, SaveCheckpoints(checkpoints, training.checkpoint_every, saved)]


@contextlib.contextmanager
def _divergence_recorded(config: Experiment, output: Path) -> Iterator[None]:
    """Note in the run's folder that a loss became NaN, and have the error say what to do about it."""
    try:
        yield
    except NonFiniteError as error:
        message = record_divergence(output, error.step, error.terms, learning_rates(config))
        raise NonFiniteError(message, error.step, error.terms) from None
