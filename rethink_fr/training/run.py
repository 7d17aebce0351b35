"""`rethink-fr train`: from a configuration to a trained run."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.data.pipeline import training_batches
from rethink_fr.errors import RunFailure
from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError, clear_temporary, write_bytes
from rethink_fr.pictures.files import encode_png
from rethink_fr.runs.config_file import learning_rates, save_config
from rethink_fr.runs.divergence import forget_divergence, record_divergence
from rethink_fr.runs.event_files import forget_events
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, FINAL_SHEET, LOGS, METRICS, is_chief, run_lock, started_config
from rethink_fr.runs.step_records import forget_records
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.average import build_averaged
from rethink_fr.training.callbacks import (
    FollowTask,
    NonFiniteError,
    NonFiniteGuard,
    Observation,
    RestartMeans,
    RunLog,
    SaveCheckpoints,
    StopOnSignal,
)
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.failures import told_plainly
from rethink_fr.training.initialise import initialise
from rethink_fr.training.observation import Observer
from rethink_fr.training.pictures import fixed_faces, keep_list, open_run_pictures, write_unreadable
from rethink_fr.training.trainer import AdversarialTrainer


class TrainingReport(NamedTuple):
    """How a call of `train` ended."""

    step: int
    finished: bool  # False if a signal ended it early
    figures: Dict[str, float]  # see Observer.validate; empty on a worker that is not the chief
    sheet: Path  # the last before/after sheet
    unreadable: int  # training files that were skipped; listed in unreadable.txt


def train(
    config: Experiment,
    strategy_name: str,
    output: Path,
    resume_from: Optional[int] = None,
    saved: Callable[[], None] = lambda: None,
) -> TrainingReport:
    """Train, or continue the run in `output`, until `training.steps`.

    A new run starts from the weights of the run `training.init` if it names one.

    Args:
        strategy_name: "one", "mirrored" or "multiworker" (the last reads TF_CONFIG).
        output: the run's directory: `config.yaml`, `checkpoints/`, `logs/`, `metrics.jsonl`, `samples/`.
        resume_from: step of the checkpoint to continue from; later ones are put aside. None for the newest.
        saved: called whenever a checkpoint was written, on the chief.

    Raises:
        ConfigError: if the configuration does not fit the run in `output`, the data or the devices.
        CheckpointError: if the run in `output` has no checkpoint that is whole and fits.
        LockedError: if another process trains in `output`.
        NonFiniteError: if a loss is no longer finite.
        RunFailure: if a file cannot be written, the disk is full, or too many pictures cannot be read.
    """
    chief = is_chief(strategy_name)
    with run_lock(output) if chief else contextlib.nullcontext():
        try:
            return _train(config, strategy_name, output, resume_from, chief, saved if chief else lambda: None)
        except (OSError, WriteError) as error:
            raise RunFailure(f"{error}; what was saved is whole: run the same command again to continue") from error


@told_plainly
def _train(
    config: Experiment,
    strategy_name: str,
    output: Path,
    resume_from: Optional[int],
    chief: bool,
    saved: Callable[[], None],
) -> TrainingReport:
    strategy = make_strategy(strategy_name, config.training.logical_cpus)
    replicas = strategy.num_replicas_in_sync
    if config.training.global_batch % replicas:
        raise ConfigError(
            f"training.global_batch: expected a multiple of the {replicas} replicas, got {config.training.global_batch}"
        )
    pictures = open_run_pictures(config.data, config.model.resolution, output)
    train_source, validation_source = pictures.train, pictures.validation
    with strategy.scope():
        trainer = build_trainer(config)

    if chief:
        started_config(output)  # refuses a run that is not whole
    checkpoints = Checkpoints(output / CHECKPOINTS, trainer, config.training.keep_checkpoints, chief)
    first_step, last_step = checkpoints.restore(resume_from), config.training.steps
    if chief:
        _prepare_directory(config, output)
        if train_source.unreadable:
            write_unreadable(output, train_source)
    keep_list(pictures, output, strategy, chief)
    if config.training.init and checkpoints.saved_step < 0:
        with strategy.scope():
            loaded = initialise(trainer, config)
        if chief:
            tqdm.write(f"starting from {config.training.init}: {', '.join(loaded)}", file=sys.stderr)
    if chief:
        _forget_after(output, first_step)

    stop = StopOnSignal()
    callbacks: list[tf.keras.callbacks.Callback] = [NonFiniteGuard(), FollowTask()]
    log = observer = None
    if chief:
        log = RunLog(output, config.training.log_every, first_step, last_step, config.training.global_batch)
        inference = SYSTEMS[config.architecture].inference(trainer.average, "float32")
        observer = Observer(inference, *fixed_faces(config, validation_source), trainer.task.reconstructs)
        callbacks += [
            log,
            Observation(
                observer, log, output / "samples", config.training.sample_every, config.training.validate_every
            ),
        ]
    callbacks.append(RestartMeans(config.training.log_every))
    callbacks.append(SaveCheckpoints(checkpoints, config.training.checkpoint_every, saved))
    if strategy_name != "multiworker":  # workers stopped at different steps would wait for each other for ever
        callbacks.append(stop)

    if first_step < last_step:
        batches = strategy.distribute_datasets_from_function(
            lambda context: training_batches(
                train_source,
                seed=config.training.seed,
                global_batch=config.training.global_batch,
                start_step=first_step,
                flip=config.data.flip,
                color_jitter=config.data.color_jitter,
                ranges=config.degradation,
                task=config.degradation.task,
                degrade=not trainer.task.reconstructs,
                workers=config.data.workers,
                input_context=context,
            )
        )
        # One epoch: the step is the only clock of a run, and callbacks count it.
        try:
            trainer.fit(batches, steps_per_epoch=last_step - first_step, callbacks=callbacks, verbose=0)
        except NonFiniteError as error:
            if not chief:
                raise
            message = record_divergence(output, error.step, error.terms, learning_rates(config))
            raise NonFiniteError(message, error.step, error.terms) from None
        finally:
            if log is not None:
                log.close()  # what is said about an error begins on a line of its own
        checkpoints.save()
    checkpoints.close()

    figures, sheet = {}, output / FINAL_SHEET
    if observer is not None and not stop.interrupted:
        figures = observer.validate()
        write_bytes(sheet, encode_png(observer.sheet()))
    return TrainingReport(int(trainer.step.numpy()), not stop.interrupted, figures, sheet, len(train_source.unreadable))


def make_strategy(name: str, logical_cpus: int = 0) -> tf.distribute.Strategy:
    """The distribution strategy of that name, over all GPUs there are, or else over the CPU.

    `logical_cpus` splits the CPU in that many devices: `mirrored` without GPUs. It must come before any computation.
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


def _prepare_directory(config: Experiment, output: Path) -> None:
    """What the run's folder holds from the start, the configuration first: without it, the rest is not continued."""
    samples = output / "samples"
    for folder in (output, samples, output / LOGS):
        clear_temporary(folder, held=True)
    forget_divergence(output)
    if started_config(output) != config:
        save_config(config, output / CONFIG)
    samples.mkdir(parents=True, exist_ok=True)


def _forget_after(output: Path, step: int) -> None:
    """Drop what was logged of steps that a continued run will take again, and what a killed process left half."""
    broken = forget_records(output / METRICS, step)
    if broken:
        tqdm.write(f"rethink-fr: {printable(output / METRICS)}: {broken} broken lines were cut off", file=sys.stderr)
    forget_events(output / LOGS, step)


def build_trainer(config: Experiment) -> AdversarialTrainer:
    """The compiled trainer of a configuration of any system. Call it inside the strategy's scope.

    Raises:
        ConfigError: if it names weights that cannot be had.
    """
    kind = SYSTEMS[config.architecture]
    if kind.task is None:
        raise ConfigError(f"architecture: {config.architecture} cannot be trained by this version")
    keras.utils.set_random_seed(config.training.seed)
    task = kind.task(config)
    average = build_averaged(lambda: kind.build(config.model))
    trainer = AdversarialTrainer(task, average, config.training.average_decay, config.training.seed)
    trainer.compile()
    return trainer
