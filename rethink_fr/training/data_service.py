"""The processes behind the setting `data.service`: one dispatcher, and workers that make training batches.

    python -m rethink_fr.training.data_service dispatcher --port 5050
    python -m rethink_fr.training.data_service worker --dispatcher grpc://HOST:5050 --config rethink_512 \
        --output runs/faces --set data.train=records

A worker is given the configuration and the run's folder (or a copy of it), from which it knows which pictures are
trained on; it must find them under the same path, with the same contents. It reads, varies and degrades; nothing is
trained there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Optional, Sequence

import tensorflow as tf

from rethink_fr.config.sections import Experiment
from rethink_fr.data.service import SCHEME, lend
from rethink_fr.errors import describe
from rethink_fr.runs.resolve import resolve_config
from rethink_fr.training.pictures import open_run_pictures

_service = tf.data.experimental.service


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Serve until the process is ended; returns an exit code."""
    parser = argparse.ArgumentParser(prog="python -m rethink_fr.training.data_service")
    roles = parser.add_subparsers(dest="role", required=True)
    dispatcher = roles.add_parser("dispatcher", help="gives the steps out to workers; one for a run")
    worker = roles.add_parser("worker", help="makes batches")
    for role in (dispatcher, worker):
        role.add_argument("--port", type=int, default=0, help="default: any that is free")
    worker.add_argument("--host", default="localhost", help="the name by which training reaches this machine")
    worker.add_argument("--dispatcher", required=True, metavar="grpc://HOST:PORT")
    worker.add_argument("--config", help="as of `rethink-fr train`")
    worker.add_argument("--output", type=Path, required=True, help="the run's folder")
    worker.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `rethink-fr train`")
    parsed = parser.parse_args(arguments)
    try:
        server = _dispatcher(parsed.port) if parsed.role == "dispatcher" else _worker(parsed)
    except Exception as error:
        described = describe(error)
        if described is None:
            raise
        print(f"rethink-fr: error: {described[0]}", file=sys.stderr)
        return described[1]
    server.join()
    return 0


def start_worker(config: Experiment, output: Path, dispatcher: str, host: str = "localhost", port: int = 0) -> Any:
    """Start a worker in this process, which makes batches of the pictures of the run in `output` until it is stopped.

    Args:
        config: of the run.
        output: the run's folder; it may not be there yet.
        dispatcher: its address, `grpc://HOST:PORT`.
        host, port: where training reaches this worker; port 0 stands for any that is free.

    Returns:
        TensorFlow's server. What it needs lives as long as it does.
    """
    pictures = open_run_pictures(config.data, config.model.resolution, output)
    lent = lend(pictures.train.read)
    protocol, _, address = dispatcher.rpartition("://")
    server = _service.WorkerServer(
        _service.WorkerConfig(
            dispatcher_address=address, worker_address=f"{host}:{port or '%port%'}", port=port, protocol=protocol
        )
    )
    server.lent = lent
    return server


def _dispatcher(port: int) -> Any:
    server = _service.DispatchServer(_service.DispatcherConfig(port=port))
    print(f"data.service={server.target}", flush=True)
    return server


def _worker(parsed: argparse.Namespace) -> Any:
    if not parsed.dispatcher.startswith(SCHEME):
        raise ValueError(f"--dispatcher: expected {SCHEME}HOST:PORT, got {parsed.dispatcher}")
    config = resolve_config(parsed.config, parsed.set, parsed.output)
    server = start_worker(config, parsed.output, parsed.dispatcher, parsed.host, parsed.port)
    print(f"a worker of {parsed.dispatcher}", flush=True)
    return server


if __name__ == "__main__":
    sys.exit(main())
