"""The transposes that TensorFlow puts into a training step on a GPU, counted on a machine without one.

    PYTHONPATH=. python tools/count_transposes.py --width 0.125                      # VQFR 1, stage 2, in float32
    PYTHONPATH=. python tools/count_transposes.py --network restorer --precision bfloat16

All features here are NHWC. For a GPU TensorFlow's layout optimizer rewrites convolutions to NCHW (or leaves them, where
it holds NHWC to be faster), lets elementwise operations follow, and puts transposes around what cannot follow. Those
that it does not know, like the native operators, never can. It rewrites graphs only, so it runs here, told of a GPU of
the given compute capability. Counted are transposes of four dimensions and the size of the tensors that they copy, with
native operators and with TensorFlow's own operations in their place. R1, which comes every sixteenth step, is left out.
How long a GPU takes for them is not measured.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import List, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from _benchmark import arguments_of
from bench_vqfr_training import experiment as vqfr_experiment
from bench_vqfr_training import write_random_vgg16
from tensorflow import keras
from tensorflow.core.protobuf import config_pb2, device_properties_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import cluster, item, tf_optimizer

from rethink_fr.config.sections import Experiment, TrainingConfig
from rethink_fr.exporting.operations import traced_with
from rethink_fr.ops.implementation import Implementation
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, ObjectiveConfig
from rethink_fr.training.run import build_trainer
from rethink_fr.training.trainer import AdversarialTrainer

_DEVICE = "/job:localhost/replica:0/task:0/device:GPU:0"
_BETWEEN_LAYOUTS = ([0, 3, 1, 2], [0, 2, 3, 1])  # NHWC to NCHW, and back


class Counts(NamedTuple):
    """What a graph holds."""

    convolutions: Counter[str]  # by their layout
    native: Counter[str]  # our operators
    transposes: Counter[str]  # by the operations on their NHWC side
    mebibytes: float  # that are transposed; tensors whose size is not known count as nothing


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--network", choices=("vqfr", "restorer"), default="vqfr")
    parser.add_argument("--stage", choices=("codebook", "restoration"), default="restoration", help="of VQFR")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1, help="of VQFR")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--skips", type=int, default=4, help="of the restorer")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "tf32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--capability", default="9.0", help="of the GPU; 9.0 is an H100's")
    parser.set_defaults(memory=False, accumulate=1, recompute=False)
    arguments = parser.parse_args()
    tf.config.experimental.enable_tensor_float_32_execution(arguments.precision == "tf32")
    with tempfile.TemporaryDirectory() as folder:
        config = experiment(arguments, Path(folder))
        trainer = build_trainer(config)
    trainer.enter_phase(max((0, *trainer.task.boundaries)))
    images = [arguments.batch, arguments.resolution, arguments.resolution, 3]
    implementations: List[Implementation] = ["compiled", "reference"]
    for implementation in implementations:
        step = step_graph(trainer, images, implementation)
        for when, optimizers in (("before", ["function"]), ("after", ["function", "layout"])):
            found = count(rewritten(step, optimizers, arguments.capability))
            transposes = f"{sum(found.transposes.values())} transposes of {found.mebibytes:.0f} MiB"
            others = f"convolutions {listed(found.convolutions)}; native {listed(found.native)}"
            print(f"{implementation}, {when}: {transposes} at {listed(found.transposes)}; {others}")


def listed(found: Counter[str]) -> str:
    """Names and numbers, the most frequent first."""
    return ", ".join(f"{name} {number}" for name, number in found.most_common()) or "none"


def experiment(arguments: argparse.Namespace, folder: Path) -> Experiment:
    """The published experiment, with all terms but R1."""
    config: Experiment
    if arguments.network == "vqfr":
        config = vqfr_experiment(arguments, str(write_random_vgg16(folder / "vgg16.npz")))
    else:
        config = ExperimentConfig(
            model=ModelConfig(resolution=arguments.resolution, width=arguments.width, n_skips=arguments.skips),
            objective=ObjectiveConfig(perceptual="none", r1_gamma=0.0),
            training=TrainingConfig(global_batch=arguments.batch),
        )
    training = dataclasses.replace(config.training, precision=arguments.precision, force_precision=True)
    return dataclasses.replace(config, training=training)


def step_graph(
    trainer: AdversarialTrainer, images: List[int], implementation: Implementation
) -> meta_graph_pb2.MetaGraphDef:
    """The graph of a training step as the runtime gives it to Grappler for one GPU, functions not yet inlined."""
    batch = {name: tf.TensorSpec(images, tf.float32) for name in ("degraded", "clean")}
    with contextlib.ExitStack() as stack:
        for part in vars(trainer.task).values():  # the generator and its teacher
            if isinstance(part, keras.Model):
                stack.enter_context(traced_with(part, implementation, implementation))
        graph = tf.function(trainer.train_step).get_concrete_function(batch).graph
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph.as_graph_def())
    nodes = {node.name: node for node in meta.graph_def.node}
    variables = {id(variable.handle): variable for variable in graph.variables}
    for outside, inside in graph.captures:
        if id(outside) in variables:  # else its shape would not be known
            node, variable = nodes[inside.op.name], variables[id(outside)]
            node.op = "VarHandleOp"
            node.attr.clear()
            node.attr["dtype"].type = variable.dtype.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
    for node in [*meta.graph_def.node, *(node for body in meta.graph_def.library.function for node in body.node_def)]:
        node.device = _DEVICE
    kept = [*(tensor.op.name for tensor in graph.outputs), *(operation.name for operation in graph.control_outputs)]
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return meta


def rewritten(meta: meta_graph_pb2.MetaGraphDef, optimizers: List[str], capability: str) -> meta_graph_pb2.MetaGraphDef:
    """The graph after some of Grappler's optimizers, for a GPU of that compute capability."""
    gpu = device_properties_pb2.DeviceProperties(type="GPU", environment={"architecture": capability})
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.extend(optimizers)
    options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    options.min_graph_nodes = -1
    options.fail_on_optimizer_errors = True
    machine = cluster.Cluster(devices=[device_properties_pb2.NamedDevice(name=_DEVICE, properties=gpu)])
    graph = tf_optimizer.OptimizeGraph(config, meta, verbose=False, cluster=machine)
    result = meta_graph_pb2.MetaGraphDef(graph_def=graph)
    result.collection_def.MergeFrom(meta.collection_def)
    return result


def count(meta: meta_graph_pb2.MetaGraphDef) -> Counts:
    """Count what a graph holds."""
    nodes = {node.name: node for node in meta.graph_def.node}
    takers = collections.defaultdict(list)
    for node in nodes.values():
        for source in node.input:
            takers[source.split(":")[0].lstrip("^")].append(node.op)
    convolutions, native, transposes, size = Counter(), Counter(), Counter(), 0
    properties = item.Item(meta).GetOpProperties()
    for node in nodes.values():
        if "Conv2" in node.op and "data_format" in node.attr:
            convolutions[node.attr["data_format"].s.decode()] += 1
        elif node.op.startswith("RethinkFr>"):
            native[node.op.split(">")[1]] += 1
        elif node.op == "Transpose" and nodes[node.input[1]].op == "Const":
            (output,) = properties[node.name]
            order = tf.make_ndarray(nodes[node.input[1]].attr["value"].tensor).tolist()
            if order in _BETWEEN_LAYOUTS:
                sides = [dim.size for dim in output.shape.dim]
                size += np.prod(sides) * tf.as_dtype(output.dtype).size if min(sides) > 0 else 0
                to_nchw = order == _BETWEEN_LAYOUTS[0]
                near = [nodes[node.input[0].split(":")[0]].op] if to_nchw else sorted(set(takers[node.name]))
                transposes[" and ".join(near)] += 1
    return Counts(convolutions, native, transposes, size / 2**20)


if __name__ == "__main__":
    main()
