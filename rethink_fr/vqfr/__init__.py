"""VQFR, the second system: face restoration from a codebook of textures (Gu et al., ECCV 2022). Deletable."""

from __future__ import annotations

from typing import Any

__all__ = [
    "Faces",
    "PatchDiscriminator",
    "Reconstruction",
    "StyleDiscriminator",
    "TorchStateError",
    "VQFR",
    "VQGAN",
    "WaveletDiscriminator",
    "load_torch_state",
    "torch_state",
]


def __getattr__(name: str) -> Any:
    """Load a public name, and TensorFlow with it, when it is first asked for."""
    if name in __all__:
        from rethink_fr.vqfr import public

        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
