"""Published weight files as arrays by name: those of PyTorch, and `.npz` with the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Sequence

import numpy as np

from rethink_fr.extras import install_advice
from rethink_fr.files.names import printable

_PREFIX = "module."  # left by training on several GPUs


class TorchFileError(ValueError):
    """A file that is no weight file of PyTorch, or PyTorch is not installed; one line naming the file."""


def read_weights(path: Path, sections: Sequence[str] = (), bare: bool = True) -> Dict[str, np.ndarray]:
    """The weights in an `.npz` of arrays, or else in a file of PyTorch: see `read_torch_file`.

    Raises:
        TorchFileError: if it is damaged or something else.
    """
    if path.suffix != ".npz":
        return read_torch_file(path, sections, bare)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # numpy and zipfile raise several kinds for damaged and foreign files
        raise TorchFileError(f"{path}: not an .npz of arrays ({_reason(error)})") from None


def read_torch_file(path: Path, sections: Sequence[str], bare: bool = False) -> Dict[str, np.ndarray]:
    """The weights in a published file: float32 arrays by name, the prefix `module.` taken off.

    Nothing in the file is executed: PyTorch's `weights_only` reader takes tensors and plain containers only.

    Args:
        path: of the file.
        sections: under which of its names the weights may be; the first that is there counts.
        bare: whether the file may also be the weights by name themselves.

    Raises:
        TorchFileError: if it is damaged, something else, or holds more than that.
    """
    try:
        import torch
    except ImportError:
        raise TorchFileError(
            f"{printable(path)}: reading a .pth file needs PyTorch; {install_advice('convert')}"
        ) from None
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile and torch raise a dozen kinds for damaged or foreign files
        raise TorchFileError(
            f"{path}: refused: damaged, not a PyTorch checkpoint, or more in it than weights ({_reason(error)}); "
            "expected the published .pth file, download it again"
        ) from None
    found = [name for name in sections if isinstance(content, dict) and name in content]
    if found:
        weights = content[found[0]]
    elif bare and isinstance(content, dict) and isinstance(next(iter(content.values()), None), torch.Tensor):
        weights = content
    else:
        raise TorchFileError(f"{path}: expected the weights {_places(sections, bare)}, found {_described(content)}")
    if not isinstance(weights, dict) or not weights:
        raise TorchFileError(f"{path}: {found[0]!r} holds no weights by name")
    state: Dict[str, np.ndarray] = {}
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TorchFileError(f"{path}: the entry {name!r} is not a tensor by name; expected weights only")
        values = tensor.detach().to(torch.float32).numpy()
        if not np.all(np.isfinite(values)):
            raise TorchFileError(f"{path}: {name} holds values that are not finite")
        state[name[len(_PREFIX) :] if name.startswith(_PREFIX) else name] = values
    return state


def _places(sections: Sequence[str], bare: bool) -> str:
    under = [f"under {' or '.join(map(repr, sections))}"] if sections else []
    return " or ".join(under + (["by name"] if bare else []))


def _described(content: Any) -> str:
    if not isinstance(content, dict):
        return "no dictionary"
    return f"a dictionary with {', '.join(map(repr, list(content)[:3]))}" if content else "nothing"


def _reason(error: Exception) -> str:
    """The first sentence of what the reader said."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first.split(". ")[0][:120]
