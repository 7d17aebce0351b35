"""`rethink-fr` as several workers on this machine, each a process of its own; see `tests.forked`."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import List, Sequence

from tests.command_line import ROOT
from tests.forked import ForkedPython

CODE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from rethink_fr.cli import main
from rethink_fr.systems import SYSTEMS
from tests.training import toy

SYSTEMS["toy"] = toy.SYSTEM
if "IN_FLOAT64" in os.environ:
    from tests.training.float64 import train_in_float64
    train_in_float64()
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments: object, cluster: str = "", float64: bool = False) -> ForkedPython:
    """`rethink-fr ARGUMENTS`; `cluster` is TF_CONFIG, "" for none; with `float64` training computes in it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "RETHINK_FR_OPS": "reference"}
    environment.pop("TF_CONFIG", None)
    if cluster:
        environment["TF_CONFIG"] = cluster
    if float64:
        environment["IN_FLOAT64"] = ""
    return ForkedPython(CODE, *arguments, cwd=ROOT, environment=environment)


def start_workers(arguments: Sequence[object], outputs: Sequence[Path], float64: bool = False) -> List[ForkedPython]:
    """`rethink-fr train --strategy multiworker ARGUMENTS --output OUTPUT`, a worker for each output."""
    probes = [socket.socket() for _ in outputs]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]}
    for probe in probes:
        probe.close()
    return [
        start(
            *("train", "--strategy", "multiworker", *arguments, "--output", output),
            cluster=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            float64=float64,
        )
        for index, output in enumerate(outputs)
    ]
