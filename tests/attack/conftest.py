"""The layer of faults, and the processes that trials are forked from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.layer import Trials, compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, compiled."""
    found = compiled(tmp_path_factory.mktemp("faults"))
    if found is None:
        pytest.skip("the layer of faults needs Linux and a C compiler (cc, gcc or clang)")
    return found


@pytest.fixture(scope="session")
def trials(library: Path) -> Iterator[Trials]:
    """Trials of what needs no TensorFlow."""
    running = Trials(library, ["tests.attack.file_scenarios"])
    yield running
    running.close()


@pytest.fixture(scope="session")
def tensorflow_trials(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Trials of what needs TensorFlow: it is imported once, and nothing is computed before the fork."""
    running = Trials(
        library,
        ["tests.attack.run_scenarios"],
        CUDA_VISIBLE_DEVICES="-1",
        RETHINK_FR_OPS="reference",
        RETHINK_FR_CACHE=str(tmp_path_factory.mktemp("cache")),
    )
    yield running
    running.close()
