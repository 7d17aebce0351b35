"""Metrics: functions of images and features, and the table of all that `rethink-fr evaluate` can compute.

    rethink_fr.metrics.psnr(restored, clean)  # uint8 images [B, H, W, 3] -> decibels, [B]

The public names are those of `rethink_fr.metrics.public`. Importing this package does not load NumPy.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Load a public name, and NumPy and SciPy with it, when it is first asked for."""
    if not name.startswith("_"):
        import rethink_fr.metrics.public as public

        if name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    import rethink_fr.metrics.public as public

    return sorted(public.__all__)
