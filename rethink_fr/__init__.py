"""Blind face restoration in TensorFlow 2.

Importing this package costs milliseconds and does not import TensorFlow; the names below load on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

_SUBPACKAGES = ("data", "export", "layers", "losses", "metrics", "models", "ops", "training", "vqfr", "workflows")

__all__ = ["__version__", "load_restorer", *_SUBPACKAGES]

# TensorFlow reads this once, at its first message, which comes while it is imported. Its errors that matter are
# exceptions; what it logs as one (3 hides these, not fatal ones) is, without a GPU, noise about cuDNN, cuBLAS and
# TensorRT. With one it may be the driver's reason not to work.
_HAS_GPU = any(os.path.exists(device) for device in ("/dev/nvidiactl", "/dev/dxg"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _HAS_GPU else "3")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "load_restorer":
        return importlib.import_module(f"{__name__}.workflows.loading").load_restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
