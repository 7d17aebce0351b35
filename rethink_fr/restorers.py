"""The systems there are. Imports no TensorFlow."""

from __future__ import annotations

from importlib import import_module
from typing import Dict

from rethink_fr.types import RestorerKind

# Architecture of a run -> the module that has its `KIND`. A system in a folder of its own is one line here.
RESTORERS: Dict[str, str] = {
    "rethink": "rethink_fr.workflows.rethink",
    "vqfr": "rethink_fr.vqfr.kind",
}


def restorer_kind(architecture: str) -> RestorerKind:
    """The family of restorers of that name, one of `RESTORERS`."""
    return import_module(RESTORERS[architecture]).KIND


def restorer_kinds() -> Dict[str, RestorerKind]:
    """Every family of restorers by the name of its architecture."""
    return {name: restorer_kind(name) for name in RESTORERS}
