"""VQFR, the second system: face restoration from a codebook of textures (Gu et al., ECCV 2022). Deletable.

The names below load TensorFlow on first use, so that the settings of a run can be checked without it.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "VQFR": "network",
    "VQGAN": "network",
    "Faces": "network",
    "PatchDiscriminator": "patch_discriminator",
    "Reconstruction": "network",
    "StyleDiscriminator": "discriminators",
    "TorchStateError": "torch_weights",
    "WaveletDiscriminator": "discriminators",
    "load_torch_state": "torch_weights",
    "torch_state": "torch_weights",
}

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
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
