"""The devices of a run: which compute, how they sum gradients, and whether all workers stand at the same step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import TrainingConfig
from rethink_fr.files.names import printable
from rethink_fr.ops.tensor_float_32 import allow_tensor_float_32


def make_strategy(name: str, training: TrainingConfig) -> tf.distribute.Strategy:
    """Make the distribution strategy "one", "mirrored" or "multiworker", over the GPUs or else the CPU.

    It also decides, for the whole process, whether GPUs use TensorFloat-32, and lets them take memory as they need it.

    Args:
        name: of the strategy.
        training: with the settings `precision`, `cross_device` and `logical_cpus`. If the CPU is to be split into
            logical devices, it must not have been used before.

    Raises:
        ConfigError: if several workers are asked for and TF_CONFIG does not name them, or the devices cannot sum
            gradients in the way that is asked for.
    """
    allow_tensor_float_32(training.precision == "tf32")
    gpus, logical_cpus = tf.config.list_physical_devices("GPU"), training.logical_cpus
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
    if name == "one":
        return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")
    if name == "mirrored":
        if gpus and not logical_cpus:
            return tf.distribute.MirroredStrategy(cross_device_ops=_cross_device(training, len(gpus), on_gpus=True))
        cpus = [f"CPU:{number}" for number in range(max(1, logical_cpus))]
        return tf.distribute.MirroredStrategy(cpus, _cross_device(training, len(cpus), on_gpus=False))
    if not os.environ.get("TF_CONFIG"):
        raise ConfigError(
            "--strategy multiworker: the environment variable TF_CONFIG is not set; it must name all workers and "
            'this one: {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
        )
    if training.cross_device == "hierarchical_copy":
        raise ConfigError(
            "training.cross_device: hierarchical_copy is for --strategy mirrored; workers need auto or nccl"
        )
    _check_nccl(training, bool(gpus))
    implementations = tf.distribute.experimental.CommunicationImplementation
    chosen = implementations.NCCL if training.cross_device == "nccl" else implementations.AUTO
    options = tf.distribute.experimental.CommunicationOptions(implementation=chosen)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _cross_device(training: TrainingConfig, count: int, on_gpus: bool) -> Optional[tf.distribute.CrossDeviceOps]:
    """How the devices of one machine sum gradients; None leaves it to TensorFlow, which takes NCCL on GPUs.

    TensorFlow's hierarchical copy splits the devices in two halves: with an odd number one would be left out.
    """
    _check_nccl(training, on_gpus)
    if training.cross_device == "nccl":
        return tf.distribute.NcclAllReduce()
    if training.cross_device == "hierarchical_copy":
        if count % 2:
            raise ConfigError(
                f"training.cross_device: hierarchical_copy needs an even number of devices, there are {count}; "
                "expected auto or nccl"
            )
        return tf.distribute.HierarchicalCopyAllReduce()
    return None


def _check_nccl(training: TrainingConfig, on_gpus: bool) -> None:
    if training.cross_device == "nccl" and not on_gpus:
        raise ConfigError("training.cross_device: nccl needs GPUs, and here the CPU computes; expected auto")


def require_same_step(step: int, output: Path, strategy: tf.distribute.Strategy) -> None:
    """Check that all workers would continue from the same step. Every worker has to call it.

    Without a folder that all of them read, the first worker has checkpoints and the others start at step 0.

    Raises:
        ConfigError: on every worker, if they would not.
    """
    steps = everyones(step, strategy)
    if len(set(steps)) > 1:
        others = " and ".join(str(one) for one in sorted(set(steps) - {step}))
        raise ConfigError(
            f"--strategy multiworker: this worker would continue from step {step}, another from {others}; "
            f"{printable(output)} has to be one folder that all of them read, or copy its checkpoints/ from the first "
            "worker to all others"
        )


def everyones(value: int, strategy: tf.distribute.Strategy) -> List[int]:
    """The values of all workers, repeated for each of their devices; only this one's where there are no others.

    Every worker has to call it.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return [value]
    values = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.int64))
    return [int(one) for one in strategy.gather(values, axis=0).numpy()]
