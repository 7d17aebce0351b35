"""Reads published weight files, PyTorch's or `.npz` with the same names, as arrays by name."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import IO, Any, Dict, Sequence

import numpy as np

from rethink_fr.errors import install_advice
from rethink_fr.files.arrays import MAX_ARRAY_BYTES, read_npz
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, open_regular
from rethink_fr.weights.pickles import check_pickle

MAX_FILE_BYTES = 2 << 30  # the largest published one has 553 MB
_MAX_VALUES = MAX_ARRAY_BYTES // 4  # of float32, in all tensors together
_OLD_PICKLES = 5  # that an older file begins with: magic number, version, machine, content, names of the arrays
_PREFIX = "module."  # left by training on several GPUs


class TorchFileError(ValueError):
    """A file that is not a weight file of PyTorch, or PyTorch is not installed. The message is one line."""


def read_weights(path: Path, sections: Sequence[str] = (), bare: bool = True) -> Dict[str, np.ndarray]:
    """The weights in an `.npz` file, or, if `path` ends otherwise, in a file of PyTorch; see `read_torch_file`.

    Raises:
        TorchFileError: if the file is damaged or something else.
    """
    if path.suffix != ".npz":
        return read_torch_file(path, sections, bare)
    try:
        return read_npz(path)
    except UnreadableFile as error:
        raise TorchFileError(f"{printable(path)}: not an .npz of arrays ({error.reason})") from None


def read_torch_file(path: Path, sections: Sequence[str], bare: bool = False) -> Dict[str, np.ndarray]:
    """The weights in a published file of PyTorch: float32 arrays by name, without the prefix `module.`.

    Nothing in the file is executed, because PyTorch's `weights_only` reader takes nothing but tensors and plain
    containers. The file may have 2 GiB, and its weights 2 ** 28 values.

    Args:
        path: of the file.
        sections: names under which the weights may lie in the file; the first that exists counts.
        bare: whether the file may also hold the weights directly, without such a section.

    Raises:
        TorchFileError: if the file is damaged or something else, or holds more than that.
    """
    shown = printable(path)
    try:
        import torch
    except ImportError:
        raise TorchFileError(
            f"{printable(path)}: reading a .pth file needs PyTorch; {install_advice('convert')}"
        ) from None
    try:
        with open_regular(path, MAX_FILE_BYTES) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that are refused below
            _check_contents(file)
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except UnreadableFile as error:
        raise TorchFileError(str(error)) from None
    except Exception as error:  # pickle, zipfile and torch raise a dozen kinds for damaged or foreign files
        raise TorchFileError(
            f"{shown}: refused: damaged, not a PyTorch checkpoint, or more in it than weights ({_reason(error)}); "
            "expected the published .pth file, download it again"
        ) from None
    found = [name for name in sections if isinstance(content, dict) and name in content]
    if found:
        weights = content[found[0]]
    elif bare and isinstance(content, dict) and isinstance(next(iter(content.values()), None), torch.Tensor):
        weights = content
    else:
        raise TorchFileError(f"{shown}: expected the weights {_places(sections, bare)}, found {_described(content)}")
    if not isinstance(weights, dict) or not weights:
        raise TorchFileError(f"{shown}: {found[0]!r} holds no weights by name")
    state: Dict[str, np.ndarray] = {}
    left = _MAX_VALUES
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TorchFileError(f"{shown}: the entry {_quoted(name)} is not a tensor by name; expected weights only")
        unfit = _unfit(tensor)
        if unfit:
            raise TorchFileError(f"{shown}: {_quoted(name)} is {unfit}; expected plain tensors of numbers")
        left -= tensor.numel()
        if left < 0:
            raise TorchFileError(f"{shown}: holds more than {_MAX_VALUES:,} values; expected a published network")
        try:
            values = tensor.detach().to(torch.float32).numpy()
        except Exception as error:  # views that NumPy has none for
            raise TorchFileError(f"{shown}: {_quoted(name)} cannot be read ({_reason(error)})") from None
        if not np.all(np.isfinite(values)):
            raise TorchFileError(f"{shown}: {printable(name)[:80]} holds values that are not finite")
        state[name[len(_PREFIX) :] if name.startswith(_PREFIX) else name] = values
    return state


def _check_contents(file: IO[bytes]) -> None:
    """Refuse a file that would be much larger in memory than on the disk.

    PyTorch's files are ZIP archives, except old ones. They store arrays uncompressed, and PyTorch sets aside as much
    memory as the archive says they take.
    """
    if file.read(4) == b"PK\x03\x04":
        size = file.seek(0, 2)
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > size:
                raise ValueError("it announces more than it holds")
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    check_pickle(archive.read(member))
    else:
        file.seek(0)
        for _ in range(_OLD_PICKLES):
            check_pickle(file)
    file.seek(0)


def _unfit(tensor: Any) -> str:
    """What is wrong with a tensor that is not a plain array of numbers; empty if nothing is."""
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"of the kind {type(tensor).__name__}"
    if tensor.device.type != "cpu":
        return "without values" if tensor.is_meta else f"on the device {tensor.device.type}"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "nested" if tensor.is_nested else f"of the layout {str(tensor.layout).removeprefix('torch.')}"
    if tensor.is_quantized or tensor.is_complex():
        return "quantized" if tensor.is_quantized else "complex"
    # One value on the disk may stand for any number of them, by strides of 0.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"said to have {tensor.numel():,} values, which is more than the file holds"
    return ""


def _quoted(name: Any) -> str:
    text = printable(repr(name)) if isinstance(name, (str, int, float)) else f"a {type(name).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _places(sections: Sequence[str], bare: bool) -> str:
    under = [f"under {' or '.join(map(repr, sections))}"] if sections else []
    return " or ".join(under + (["by name"] if bare else []))


def _described(content: Any) -> str:
    if not isinstance(content, dict):
        return "no dictionary"
    return f"a dictionary with {', '.join(map(_quoted, list(content)[:3]))}" if content else "nothing"


def _reason(error: Exception) -> str:
    """The first sentence of an error of PyTorch's."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return printable(first.split(". ")[0])[:120]
