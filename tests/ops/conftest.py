"""Fixtures of the tests of native operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from rethink_fr.ops.native import instruction_set, use_instruction_set
from tests.ops.stand_in import StandIn, write_stand_in


@pytest.fixture()
def stand_in(tmp_path: Path) -> StandIn:
    """Sources of a small operator that no other test has. The folder's name has characters that need quoting."""
    return write_stand_in(tmp_path / "C++, of a test")


@pytest.fixture()
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a compiler."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "no programs"))


@pytest.fixture(params=("reference", "avx512", "avx2", "baseline"))
def implementation(request):
    """Each implementation, and of the compiled one each instruction set that this machine has."""
    if request.param == "reference":
        yield "reference"
        return
    best = instruction_set()
    if not use_instruction_set(request.param):
        pytest.skip(f"this machine has no {request.param}")
    yield "compiled"
    use_instruction_set(best)
