"""Blind face restoration in TensorFlow 2.

Importing this package costs milliseconds and does not import TensorFlow; its public names load on first use.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# TensorFlow reads this once, at its first message, which comes while it is imported. Its errors that matter are
# exceptions; what it logs as one (3 hides these, not fatal ones) is, without a GPU, noise about cuDNN, cuBLAS and
# TensorRT. With one it may be the driver's reason not to work.
_HAS_GPU = any(os.path.exists(device) for device in ("/dev/nvidiactl", "/dev/dxg"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _HAS_GPU else "3")


def __getattr__(name: str) -> Any:
    """Load `load_restorer`, or a folder of this package such as `rethink_fr.layers`, when it is first asked for."""
    if name == "load_restorer":
        from rethink_fr.inference.loading import load_restorer

        return load_restorer
    if not name.startswith("_") and (Path(__file__).parent / name / "__init__.py").is_file():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))
    return ["__version__", "load_restorer", *folders]
