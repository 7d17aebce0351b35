"""Batches made by a tf.data service: the same ones, whole, each once; with one worker in the same order."""

import itertools
import multiprocessing
import os
import sys
import traceback
from typing import Callable

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.data.pipeline import training_batches
from rethink_fr.runs.config_file import load_config
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.run import train
from tests.command_line import ROOT
from tests.data.test_pipeline import assert_equal_batches, numbered_source, take
from tests.training import toy
from tests.training.helpers import records, replace

service = tf.data.experimental.service


@pytest.fixture
def dispatcher():
    server = service.DispatchServer()
    yield server.target
    server._stop()


def worker(target: str):
    return service.WorkerServer(service.WorkerConfig(dispatcher_address=target.split("://")[1]))


def same_batches_in_the_same_order(target: str) -> None:
    given = {"seed": 3, "global_batch": 4, "start_step": 3, "degrade": False}
    local = take(training_batches(numbered_source(), **given), 4)
    assert_equal_batches(take(training_batches(numbered_source(), service=target, **given), 4), local)


def whole_batches_each_once(target: str) -> None:
    given = {"seed": 3, "global_batch": 4, "degrade": False}
    local = {batch["index"][0]: batch for batch in take(training_batches(numbered_source(), **given), 90)}
    served = take(training_batches(numbered_source(), service=target, **given), 30)
    firsts = [batch["index"][0] for batch in served]
    assert len(set(firsts)) == 30
    assert_equal_batches(served, [local[first] for first in firsts])


def check_served(check: Callable[[str], None], workers: int) -> None:
    """Start a service, run a check on it, and end the process without stopping the service.

    Stopping a worker that makes endless batches may wait for ever, holding the lock that its reader of pictures needs.
    """
    status = 1
    try:
        dispatcher = service.DispatchServer()
        servers = [worker(dispatcher.target) for _ in range(workers)]
        check(dispatcher.target)
        status = 0 if len(servers) == workers else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.mark.parametrize("check, workers", [(same_batches_in_the_same_order, 1), (whole_batches_each_once, 2)])
def test_served_batches(check, workers):
    process = multiprocessing.get_context("spawn").Process(target=check_served, args=(check, workers))
    process.start()
    process.join(300)
    if process.is_alive():
        process.kill()
    assert process.exitcode == 0  # what went wrong is in the captured output


@pytest.mark.slow
def test_a_run_that_is_served_by_one_worker_equals_one_that_is_not(dispatcher, tmp_path, monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    server, config = worker(dispatcher), toy.experiment(steps=4)
    train(config, "one", tmp_path / "alone")
    served = replace(config, "data", service=dispatcher)
    train(replace(served, "training", steps=2), "one", tmp_path / "served")
    train(served, "one", tmp_path / "served")
    rows = [records(tmp_path / name) for name in ("alone", "served")]
    for one, other in zip(*rows):
        assert {**one, "images_per_second": 0} == {**other, "images_per_second": 0}
    server._stop()


def test_a_service_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data.service: expected grpc://HOST:PORT, or '' for none, got 'host:1'"):
        load_config("smoke_64", ["data.service=host:1"])
    with pytest.raises(ValueError, match="data.service: no dispatcher answers at grpc://localhost:1 .*; start it"):
        training_batches(numbered_source(), seed=0, global_batch=4, service="grpc://localhost:1")


@pytest.mark.slow
def test_workers_in_processes_of_their_own_read_what_training_would(dispatcher, tmp_path):
    import subprocess

    config = load_config("smoke_64", ["model.resolution=32"])
    command = [sys.executable, "-m", "rethink_fr.training.data_service", "worker", "--dispatcher", dispatcher]
    process = subprocess.Popen(
        [*command, "--config", "smoke_64", "--set", "model.resolution=32", "--output", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == f"a worker of {dispatcher}\n"
        from rethink_fr.training.pictures import open_run_pictures

        pictures = open_run_pictures(config.data, 32, tmp_path)
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        batches = {}
        for name, source in (("", pictures), (dispatcher, pictures._replace(train=_Unread(pictures.train)))):
            served = replace(config, "data", service=name)
            found = itertools.islice(source.batches(served, strategy, 0, degrade=True), 3)
            batches[name] = [{key: value.numpy() for key, value in batch.items()} for batch in found]
        assert_equal_batches(batches[dispatcher], batches[""])
    finally:
        process.kill()


class _Unread:
    """A source that must not be read here."""

    def __init__(self, source) -> None:
        self.resolution, self._count = source.resolution, len(source)

    def __len__(self) -> int:
        return self._count

    def read(self, place: int) -> np.ndarray:
        raise AssertionError("read in the process that trains")
