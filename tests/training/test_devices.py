"""The devices of a run, and what is decided for the whole process when they are made."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import TrainingConfig
from rethink_fr.layers.precision import exact_product
from rethink_fr.restorer.settings import OptimizerConfig
from rethink_fr.restorer.task import build_optimizer
from rethink_fr.training import devices
from rethink_fr.training.devices import make_strategy, require_same_step
from tests.command_line import ROOT
from tests.forked import ForkedPython

GPUS = len(tf.config.list_physical_devices("GPU"))


@pytest.fixture(autouse=True)
def tensor_float_32_as_before():
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("bfloat16", False), ("tf32", True)])
def test_training_decides_whether_tensor_float_32_is_used(precision, allowed):
    tf.config.experimental.enable_tensor_float_32_execution(not allowed)
    make_strategy("one", TrainingConfig(precision=precision))
    assert tf.config.experimental.tensor_float_32_execution_enabled() == allowed


def test_products_that_choose_codes_stay_exact_where_a_gpu_may_use_tensor_float_32(monkeypatch):
    tf.config.experimental.enable_tensor_float_32_execution(True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    left, right = tf.random.normal([5, 7]), tf.random.normal([3, 7])
    graph = tf.function(exact_product).get_concrete_function(left, right).graph
    assert [node.outputs[0].dtype for node in graph.get_operations() if node.type == "MatMul"] == [tf.float64]
    product = exact_product(left, right)
    assert product.dtype == tf.float32
    np.testing.assert_allclose(product, left.numpy() @ right.numpy().T, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(GPUS < 1, reason="there is no GPU here")
def test_float32_is_float32_on_a_gpu():
    make_strategy("one", TrainingConfig())
    with tf.device("GPU:0"):
        product = tf.matmul(tf.fill([1024, 1024], 1.0001), tf.ones([1024, 1024]))
    np.testing.assert_allclose(product, 1024.1024, rtol=1e-5)


def test_adam_is_not_compiled_on_a_gpu_unless_asked_for(monkeypatch):
    monkeypatch.setattr(tf.compat.v2.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    assert keras.optimizers.Adam().jit_compile  # what Keras does there
    assert not build_optimizer(OptimizerConfig()).jit_compile
    assert build_optimizer(OptimizerConfig(jit_compile=True)).jit_compile


def test_adam_takes_the_same_steps_as_before_bit_for_bit():
    ours, theirs = [tf.Variable(tf.random.stateless_normal([3, 4], [0, 1])) for _ in range(2)]
    config = OptimizerConfig()
    before = keras.optimizers.Adam(config.learning_rate, config.beta_1, config.beta_2, config.epsilon)
    for optimizer, variable in ((build_optimizer(config), ours), (before, theirs)):
        for _ in range(3):
            optimizer.apply_gradients([(tf.sin(variable), variable)])
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("strategy", "way", "message"),
    [
        ("mirrored", "nccl", "nccl needs GPUs"),
        ("mirrored", "hierarchical_copy", "needs an even number of devices, there are 1"),
        ("multiworker", "hierarchical_copy", "is for --strategy mirrored"),
    ],
)
def test_a_way_to_sum_gradients_that_the_devices_do_not_have_is_refused(strategy, way, message, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(ConfigError, match=f"training.cross_device: .*{message}"):
        make_strategy(strategy, TrainingConfig(cross_device=way))


def test_hierarchical_copy_sums_over_logical_cpus():
    """In a process of its own: a second strategy breaks the collectives of the first."""
    code = """
import tensorflow as tf
from rethink_fr.config.sections import TrainingConfig
from rethink_fr.training.devices import make_strategy
strategy = make_strategy("mirrored", TrainingConfig(logical_cpus=2, cross_device="hierarchical_copy"))
def replica():
    here = tf.distribute.get_replica_context()
    number = tf.cast(here.replica_id_in_sync_group + 1, tf.float32)
    return here.all_reduce("SUM", [number * tf.ones([2]), 10 * number])
for value in strategy.run(replica):
    print([one.numpy().tolist() for one in strategy.experimental_local_results(value)])
"""
    done = ForkedPython(code, cwd=ROOT, environment=os.environ).wait()
    assert done.stdout == "[[3.0, 3.0], [3.0, 3.0]]\n[30.0, 30.0]\n", done.stderr


@pytest.mark.skipif(GPUS < 2, reason="there are fewer than two GPUs here")
@pytest.mark.parametrize("way", ["nccl", "hierarchical_copy"])
def test_gpus_sum_in_each_way(way):
    strategy = make_strategy("mirrored", TrainingConfig(cross_device=way))
    summed = strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", [tf.ones([])]))[0]
    assert strategy.experimental_local_results(summed)[0] == strategy.num_replicas_in_sync


def test_workers_that_would_continue_from_different_steps_are_refused(monkeypatch):
    monkeypatch.setattr(devices, "everyones", lambda value, strategy: [4, 0])
    message = "this worker would continue from step 0, another from 4; run has to be one folder that all of them read"
    with pytest.raises(ConfigError, match=message):
        require_same_step(0, Path("run"), None)
    monkeypatch.undo()
    require_same_step(4, Path("run"), tf.distribute.get_strategy())
