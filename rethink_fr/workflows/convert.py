"""`rethink-fr convert-vqfr`: published PyTorch weights become a run directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Dict, NamedTuple

import numpy as np

from rethink_fr.config import save_model_section
from rethink_fr.restorers import restorer_kinds
from rethink_fr.training.checkpoints import save_average

_ARCHITECTURE = "vqfr"
_SECTIONS = ("params_ema", "params")  # of a published file; the first that is there counts
_PREFIX = "module."  # left by training on several GPUs


class ConvertError(ValueError):
    """A file that is not a published checkpoint, or cannot be read or converted."""


class ConvertReport(NamedTuple):
    """What was converted."""

    output: Path
    network: str
    parameters: int


def convert(checkpoint: Path, output: Path) -> ConvertReport:
    """Turn a published checkpoint into a run directory that `restore` and `export` take.

    Version and stage are recognised by the names in it. The directory appears complete or not at all.

    Args:
        checkpoint: a `.pth` file, a dictionary with the weights under `params_ema` or `params`.
        output: a new or empty directory.

    Raises:
        ConvertError: if it is not such a file, PyTorch is not installed, or `output` is taken.
        ValueError: if the weights are not exactly those of a network.
    """
    kind = restorer_kinds().get(_ARCHITECTURE)
    if kind is None or kind.from_torch is None:
        raise ConvertError("convert-vqfr: this installation has no VQFR")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConvertError(f"{output}: exists and is not empty; remove it or choose another --output")
    state = read_checkpoint(checkpoint)
    try:
        settings, network = kind.from_torch(state)
    except ValueError as error:
        raise ConvertError(f"{checkpoint}: {error}") from None
    partial = output.absolute().parent / f".{output.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_average(partial / "checkpoints", network)
        save_model_section(_ARCHITECTURE, settings, partial / "config.yaml")
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ConvertReport(output, f"{settings.network} version {settings.version}", network.count_params())


def read_checkpoint(path: Path) -> Dict[str, np.ndarray]:
    """The weights in a published file: float32 arrays by name, the prefix `module.` taken off.

    Nothing in the file is executed: PyTorch's `weights_only` reader takes tensors and plain containers only.

    Raises:
        ConvertError: if it is damaged, something else, or holds more than that.
    """
    try:
        import torch
    except ImportError:
        raise ConvertError(
            "convert-vqfr: reading a .pth file needs PyTorch; install the extra with: pip install 'rethink-fr[convert]'"
        ) from None
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile and torch raise a dozen kinds for damaged or foreign files
        raise ConvertError(
            f"{path}: refused: damaged, not a PyTorch checkpoint, or more in it than weights ({_reason(error)}); "
            "expected the published .pth file, download it again"
        ) from None
    sections = [name for name in _SECTIONS if isinstance(content, dict) and name in content]
    if not sections:
        found = (
            f"a dictionary with {', '.join(map(repr, list(content)[:3]))}"
            if isinstance(content, dict)
            else "no dictionary"
        )
        raise ConvertError(f"{path}: expected the weights under 'params_ema' or 'params', found {found or 'nothing'}")
    weights = content[sections[0]]
    if not isinstance(weights, dict) or not weights:
        raise ConvertError(f"{path}: {sections[0]!r} holds no weights by name")
    state: Dict[str, np.ndarray] = {}
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ConvertError(f"{path}: the entry {name!r} is not a tensor by name; expected weights only")
        values = tensor.detach().to(torch.float32).numpy()
        if not np.all(np.isfinite(values)):
            raise ConvertError(f"{path}: {name} holds values that are not finite")
        state[name[len(_PREFIX) :] if name.startswith(_PREFIX) else name] = values
    return state


def _reason(error: Exception) -> str:
    """The first sentence of what the reader said."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first.split(". ")[0][:120]
