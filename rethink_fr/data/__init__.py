"""Clean images, their degraded twins, and batches of both. Names load on first use, and TensorFlow with them."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "UnreadableImage": "image_files",
    "VQFR_RANGES": "vqfr_degradation",
    "augment": "augmentation",
    "degrade": "degradation",
    "degrade_for_task": "degradation",
    "draw_face": "drawn_faces",
    "fixed_batch": "pipeline",
    "open_source": "sources",
    "split_holdout": "sources",
    "super_resolution_input": "degradation",
    "training_batches": "pipeline",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
