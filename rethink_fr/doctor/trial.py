"""One real step of a run, in a process of its own: `python -m rethink_fr.doctor.trial CONFIG STRATEGY BYTES INIT`.

What is found is printed line by line as JSON, so that it is known even if the process is killed for its memory:

* `built`: bytes of parameters, of the average and other copies, of the optimizers, and of a checkpoint;
* `predicted`: bytes that a step will take;
* `taken`: bytes that it took at most, and seconds of each step;
* `read`: pictures a second that the input pipeline delivers;
* `refused`: the line for the user if the networks cannot be made.

A step that is predicted to take more than BYTES is not tried.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple

import numpy as np
import tensorflow as tf

from rethink_fr.config.sections import Experiment
from rethink_fr.data.pipeline import training_batches
from rethink_fr.data.sources.image_source import SkippingSource
from rethink_fr.doctor.graph_memory import graph_peak
from rethink_fr.doctor.samples import open_sample
from rethink_fr.runs.config_file import load_config
from rethink_fr.training.devices import make_strategy
from rethink_fr.training.initialise import initialise
from rethink_fr.training.run import build_trainer
from rethink_fr.training.trainer import AdversarialTrainer

_STEPS = 4
_AHEAD = 8  # batches that may have been read while the steps were taken
_READING = 3.0  # seconds that reading is timed for
# Fitted to processes of ten settings on a processor (docs/measured.md): what a step takes beside the tensors of
# its graph. TensorFlow's optimizer keeps copies of the graph, oneDNN of kernels; the allocator leaves gaps.
_FIXED = 200_000_000
_COPIES_OF_GRAPH = 1.2
_COPIES_OF_WEIGHTS = 1.0
_GAPS = 1.2


def main(config_file: str, strategy_name: str, limit: int, from_init: bool) -> None:
    """Build, predict, step and read; print what is found."""
    config = load_config(config_file)
    strategy = make_strategy(strategy_name, config.training)
    try:
        with strategy.scope():
            trainer = build_trainer(config)
            if from_init:
                initialise(trainer, config)
    except ValueError as error:
        _tell("refused", message=" ".join(str(error).split()))
        return
    _tell("built", **_sizes(trainer))
    prediction = predict(config, strategy, trainer)
    phase, on_gpu, replicas = prediction.phase, prediction.on_gpu, strategy.num_replicas_in_sync
    _tell("predicted", bytes=prediction.bytes, tensors=prediction.tensors, phase=phase, on_gpu=on_gpu)
    batches = _batches(config)
    batch = next(batches)
    if prediction.bytes <= limit:
        trainer.enter_phase(phase)
        values = strategy.experimental_distribute_values_from_function(
            lambda context: {name: part[context.replica_id_in_sync_group :: replicas] for name, part in batch.items()}
        )
        seconds = [_timed(prediction.step, values) for _ in range(_STEPS)]
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if on_gpu else peak_resident()
        _tell("taken", bytes=peak, seconds=seconds)
    for _ in range(_AHEAD):
        next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < _READING:
        next(batches)
        count += config.training.global_batch
    _tell("read", images_per_second=count / (time.perf_counter() - start))


class Prediction(NamedTuple):
    """The memory that training is going to take on one device, or in all on the processor."""

    bytes: int
    tensors: int  # bytes of tensors at the worst moment of a step, those of all replicas
    phase: int  # of the run, in which it takes most
    on_gpu: bool
    of_a_gpu: int  # bytes that one GPU of as many replicas needs, without cuDNN's workspaces
    step: Any  # of that phase, traced: a function of the replicas' batches


def predict(config: Experiment, strategy: tf.distribute.Strategy, trainer: AdversarialTrainer) -> Prediction:
    """Predict the memory that a trainer takes that was just built, from the graphs of its steps."""
    built, sizes = resident(), _sizes(trainer)
    functions = {phase: _traced(config, strategy, trainer, phase) for phase in sorted({0, max(trainer.phases())})}
    graphs = {phase: graph_peak(function.graph) for phase, function in functions.items()}
    phase = max(graphs, key=lambda one: graphs[one])
    traced = resident()
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    of_a_gpu = predicted = sizes["all"] + _GAPS * graphs[phase] / strategy.num_replicas_in_sync
    if not on_gpu:
        kept = _FIXED + _COPIES_OF_GRAPH * (traced - built) / len(functions) + _COPIES_OF_WEIGHTS * sizes["networks"]
        predicted = traced + kept + _GAPS * graphs[phase]
    return Prediction(int(predicted), graphs[phase], phase, on_gpu, int(of_a_gpu), functions[phase])


def resident() -> int:
    """Bytes of memory that this process has now."""
    return _status("VmRSS")


def peak_resident() -> int:
    """The largest number of bytes of memory that this process ever had."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _tell(stage: str, **values: Any) -> None:
    print(json.dumps({"stage": stage, **values}), flush=True)


def _sizes(trainer: AdversarialTrainer) -> Dict[str, int]:
    """Bytes of variables, by what they are for. `checkpoint` is all that a checkpoint holds."""
    task = trainer.task
    networks = _unique(variable for part in task.saved.values() for variable in getattr(part, "variables", [part]))
    slots = _unique(variable for optimizer in task.optimizers.values() for variable in optimizer.variables)
    average = _unique(trainer.average.variables)
    every = _unique([*networks, *average, *slots])
    total = _bytes(every)
    return {
        "networks": _bytes(networks),
        "average": _bytes(average),
        "optimizers": _bytes(slots),
        "checkpoint": total,
        "all": total,
    }


def _unique(variables: Iterable[tf.Variable]) -> List[tf.Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) * variable.dtype.size for variable in variables)


def _traced(config: Experiment, strategy: tf.distribute.Strategy, trainer: AdversarialTrainer, phase: int) -> Any:
    """The graph of a step in a phase of the run, as a function of the replicas' batches."""
    trainer.enter_phase(phase)
    side, share = config.model.resolution, config.training.global_batch // strategy.num_replicas_in_sync
    empty = {name: tf.zeros([share, side, side, 3]) for name in ("degraded", "clean")}
    values = strategy.experimental_distribute_values_from_function(lambda _: empty)

    @tf.function
    def step(batch: Any) -> Any:
        return strategy.run(trainer.train_step, args=(batch,))

    return step.get_concrete_function(values)


def _batches(config: Experiment) -> Any:
    """An iterator over batches of a sample of the training pictures, which were read once before."""
    batch, data = config.training.global_batch, config.data
    source = SkippingSource(open_sample(data.train, config.model.resolution, data, 2 * batch).source, data.train, "")
    for place in range(len(source)):
        source.read(place)
    dataset = training_batches(
        source,
        seed=config.training.seed,
        global_batch=batch,
        flip=data.flip,
        color_jitter=data.color_jitter,
        ranges=config.degradation,
        task=config.degradation.task,
        workers=data.workers,
    )
    return iter(dataset.map(lambda one: {"degraded": one["degraded"], "clean": one["clean"]}))


def _timed(function: Any, batch: Any) -> float:
    start = time.perf_counter()
    tf.nest.map_structure(lambda scalar: scalar.numpy() if tf.is_tensor(scalar) else None, function(batch))
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "init")
