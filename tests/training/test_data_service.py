"""Batches made by a tf.data service: the same ones, whole, each once; with one worker in the same order.

Stopping a worker that makes endless batches may wait for ever, holding the lock that its reader of pictures needs. So
no service runs in the process of the tests: each is in one that ends without stopping it, and is killed if it does not.
"""

import contextlib
import faulthandler
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.data.pipeline import training_batches
from rethink_fr.runs.config_file import load_config
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.pictures import open_run_pictures
from rethink_fr.training.run import train
from tests.command_line import ROOT
from tests.data.test_pipeline import assert_equal_batches, numbered_source, take
from tests.training import toy
from tests.training.helpers import records, replace

LONGEST = 300  # seconds that a process may take
AT_32 = ["model.resolution=32", "model.n_skips=2"]
RUNNING = []  # the servers of this process; it would stop one that nothing refers to

service = tf.data.experimental.service


def in_a_process(work: Callable[..., None], *arguments: object) -> None:
    """Do some work in a process of its own, and see that it was done in time."""
    process = multiprocessing.get_context("spawn").Process(target=do_and_leave, args=(work, arguments))
    process.start()
    process.join(LONGEST)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode == 0  # what went wrong is in the captured output


def do_and_leave(work: Callable[..., None], arguments: tuple) -> None:
    """Do the work, and end the process at once; say where it hangs before it is killed."""
    faulthandler.dump_traceback_later(0.9 * LONGEST)
    status = 1
    try:
        work(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def check_served(check: Callable[..., None], workers: int, *arguments: object) -> None:
    """Start a service with some workers, and run a check on it."""
    dispatcher = service.DispatchServer()
    RUNNING.append(dispatcher)
    for _ in range(workers):
        address = dispatcher.target.split("://")[1]
        RUNNING.append(service.WorkerServer(service.WorkerConfig(dispatcher_address=address)))
    check(dispatcher.target, *arguments)


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


@pytest.mark.parametrize("check, workers", [(same_batches_in_the_same_order, 1), (whole_batches_each_once, 2)])
def test_served_batches(check, workers):
    in_a_process(check_served, check, workers)


def a_served_run_equals_one_that_is_not(target: str, folder: Path) -> None:
    SYSTEMS["toy"] = toy.SYSTEM
    config = toy.experiment(steps=4)
    train(config, "one", folder / "alone")
    served = replace(config, "data", service=target)
    train(replace(served, "training", steps=2), "one", folder / "served")
    train(served, "one", folder / "served")
    alone, continued = (records(folder / name) for name in ("alone", "served"))
    assert len(alone) == len(continued) == 4
    for one, other in zip(alone, continued):
        assert {**one, "images_per_second": 0} == {**other, "images_per_second": 0}


@pytest.mark.slow
def test_a_run_that_is_served_by_one_worker_equals_one_that_is_not(tmp_path):
    in_a_process(check_served, a_served_run_equals_one_that_is_not, 1, tmp_path)


def test_a_service_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data.service: expected grpc://HOST:PORT, or '' for none, got 'host:1'"):
        load_config("smoke_64", ["data.service=host:1"])
    with pytest.raises(ValueError, match="data.service: no dispatcher answers at grpc://localhost:1 .*; start it"):
        training_batches(numbered_source(), seed=0, global_batch=4, service="grpc://localhost:1")


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[str]:
    """A dispatcher or worker as a user starts it; gives the line that it prints when it is ready."""
    command = [sys.executable, "-m", "rethink_fr.training.data_service", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    limit = threading.Timer(LONGEST, process.kill)
    limit.start()
    try:
        yield process.stdout.readline().rstrip()
    finally:
        limit.cancel()
        process.kill()
        process.wait()


def batches_of_the_worker_are_those_of_training(target: str, folder: Path) -> None:
    config = load_config("smoke_64", AT_32)
    pictures = open_run_pictures(config.data, 32, folder)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    batches = {}
    for name, source in (("", pictures), (target, pictures._replace(train=_Unread(pictures.train)))):
        served = replace(config, "data", service=name)
        found = itertools.islice(source.batches(served, strategy, 0, degrade=True), 3)
        batches[name] = [{key: value.numpy() for key, value in batch.items()} for batch in found]
    assert len(batches[target]) == 3
    assert_equal_batches(batches[target], batches[""])


@pytest.mark.slow
def test_a_worker_in_a_process_of_its_own_reads_what_training_would(tmp_path):
    settings = [part for setting in AT_32 for part in ("--set", setting)]
    of_the_run = ["--config", "smoke_64", *settings, "--output", str(tmp_path)]
    with server("dispatcher") as line:
        setting, target = line.split("=")
        assert setting == "data.service"
        with server("worker", "--dispatcher", target, *of_the_run) as line:
            assert line == f"a worker of {target}"
            in_a_process(batches_of_the_worker_are_those_of_training, target, tmp_path)


class _Unread:
    """A source that must not be read here."""

    def __init__(self, source) -> None:
        self.resolution, self._count = source.resolution, len(source)

    def __len__(self) -> int:
        return self._count

    def read(self, place: int) -> np.ndarray:
        raise AssertionError("read in the process that trains")
