"""`rethink-fr train`: from a configuration to a trained run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Dict, NamedTuple

import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from rethink_fr.config import save_config
from rethink_fr.data.pipeline import training_batches
from rethink_fr.restorers import restorer_kind
from rethink_fr.settings import ConfigError, Experiment
from rethink_fr.training.callbacks import (
    FollowTask,
    NonFiniteGuard,
    Observation,
    RestartMeans,
    RunLog,
    SaveCheckpoints,
    StopOnSignal,
)
from rethink_fr.training.checkpoints import Checkpoints
from rethink_fr.training.observation import Observer
from rethink_fr.workflows.build import build_trainer, fixed_faces
from rethink_fr.workflows.initialise import initialise
from rethink_fr.workflows.run_failures import told_plainly
from rethink_fr.workflows.run_pictures import keep_list, open_run_pictures, write_unreadable


class TrainingReport(NamedTuple):
    """How a call of `train` ended."""

    step: int
    finished: bool  # False if a signal ended it early
    figures: Dict[str, float]  # see Observer.validate; empty on a worker that is not the chief
    sheet: Path  # the last before/after sheet
    unreadable: int  # training files that were skipped; listed in unreadable.txt


@told_plainly
def train(config: Experiment, strategy_name: str, output: Path) -> TrainingReport:
    """Train, or continue the run in `output`, until `training.steps`.

    A new run starts from the weights of the run `training.init` if it names one.

    Args:
        strategy_name: "one", "mirrored" or "multiworker" (the last reads TF_CONFIG).
        output: the run's directory: `config.yaml`, `checkpoints/`, `logs/`, `metrics.jsonl`, `samples/`.

    Raises:
        ConfigError: if the configuration does not fit the run in `output`, the data or the devices.
        NonFiniteError: if a loss is no longer finite.
        RunFailure: if the disk is full, or too many pictures cannot be read.
    """
    strategy = make_strategy(strategy_name, config.training.logical_cpus)
    chief = _is_chief(strategy)
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
        _prepare_directory(config, output)
        if train_source.unreadable:
            write_unreadable(output, train_source)
    keep_list(pictures, output, strategy, chief)
    checkpoints = Checkpoints(output / "checkpoints", trainer, config.training.keep_checkpoints, chief)
    first_step, last_step = checkpoints.restore(), config.training.steps
    if config.training.init and checkpoints.saved_step < 0:
        with strategy.scope():
            loaded = initialise(trainer, config)
        if chief:
            tqdm.write(f"starting from {config.training.init}: {', '.join(loaded)}", file=sys.stderr)
    if chief:
        _forget_after(output / "metrics.jsonl", first_step)

    stop = StopOnSignal()
    callbacks: list[tf.keras.callbacks.Callback] = [NonFiniteGuard(), FollowTask()]
    log = observer = None
    if chief:
        log = RunLog(output, config.training.log_every, first_step, last_step, config.training.global_batch)
        inference = restorer_kind(config.architecture).inference(trainer.average, "float32")
        observer = Observer(inference, *fixed_faces(config, validation_source), trainer.task.reconstructs)
        callbacks += [
            log,
            Observation(
                observer, log, output / "samples", config.training.sample_every, config.training.validate_every
            ),
        ]
    callbacks.append(RestartMeans(config.training.log_every))
    callbacks.append(SaveCheckpoints(checkpoints, config.training.checkpoint_every))
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
        trainer.fit(batches, steps_per_epoch=last_step - first_step, callbacks=callbacks, verbose=0)
        checkpoints.save()
    checkpoints.close()

    figures, sheet = {}, output / "samples" / "final.png"
    if observer is not None and not stop.interrupted:
        figures = observer.validate()
        Image.fromarray(observer.sheet()).save(sheet)
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


def _is_chief(strategy: tf.distribute.Strategy) -> bool:
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0)


def _prepare_directory(config: Experiment, output: Path) -> None:
    (output / "samples").mkdir(parents=True, exist_ok=True)
    save_config(config, output / "config.yaml")


def _forget_after(path: Path, step: int) -> None:
    """Drop records of steps that a continued run will take again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        if len(kept) != len(lines):
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
