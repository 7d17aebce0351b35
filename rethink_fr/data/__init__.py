"""Where clean images come from, how they are degraded, and batches of both for training."""

from __future__ import annotations

from typing import Any

__all__ = [
    "UnreadableImage",
    "VQFR_RANGES",
    "augment",
    "degrade",
    "degrade_for_task",
    "draw_face",
    "fixed_batch",
    "open_source",
    "split_holdout",
    "super_resolution_input",
    "training_batches",
]


def __getattr__(name: str) -> Any:
    """Load a public name, and TensorFlow with it, when it is first asked for."""
    if name in __all__:
        from rethink_fr.data import public

        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
