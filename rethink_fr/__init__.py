"""Blind face restoration in TensorFlow 2.

Importing this package costs milliseconds and does not import TensorFlow; the names below load on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBPACKAGES = ("data", "export", "layers", "losses", "metrics", "models", "ops", "training", "vqfr", "workflows")

__all__ = ["__version__", "load_restorer", *_SUBPACKAGES]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "load_restorer":
        return importlib.import_module(f"{__name__}.workflows.loading").load_restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
