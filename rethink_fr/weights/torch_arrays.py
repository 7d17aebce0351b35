"""Reads NumPy arrays that `torch.save` wrote in a dictionary, without PyTorch and without running what is in the file.

PyTorch's own strict reader refuses NumPy arrays, and its other one would run whatever a file says. A pickle names
functions to be called; here only the four names that arrays are made of are known, and stand for records of ours that
are checked before they become arrays.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import IO, Any, Dict, Sequence, Tuple, Union

import numpy as np

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, open_regular
from rethink_fr.weights.pickles import check_pickle

_LIMIT = 256 << 20  # bytes; the statistics of FFHQ have some 50 million
_MAGIC = 0x1950A86A20F9469CFC6C  # PyTorch's, in files from before its version 1.6
_BEFORE = 2  # pickles between the magic number and the content, in those files
_DTYPE = re.compile("[fiu][1248]")


class _Type:
    """What a pickle says of an array's type."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("an array of structures")
        self.order = state[1]


class _Array:
    """What a pickle says of an array."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Class:
    """Stands for `numpy.ndarray`, which a pickle names as the kind of its arrays."""


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, encoding: Any) -> bytes:
    """What a pickle of an old protocol has instead of bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("text in an unknown encoding")
    return text.encode("latin-1")


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Class,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} in it, which no array needs") from None

    def persistent_load(self, _: Any) -> Any:
        raise pickle.UnpicklingError("PyTorch's tensors in it")


def read_torch_arrays(path: Union[str, Path], names: Sequence[str]) -> Dict[str, np.ndarray]:
    """The arrays of these names in a dictionary that PyTorch saved; other entries are ignored.

    Args:
        path: of the file; PyTorch's ZIP archive, or the form from before its version 1.6.
        names: of the arrays, whose types are whole or floating-point numbers.

    Raises:
        UnreadableFile: naming `path`, if it cannot be read, has more than 256 MB, holds anything but plain values and
            arrays, or lacks one of the names.
    """
    with open_regular(path, _LIMIT) as file:
        try:
            content = _content(file)
            if not isinstance(content, dict):
                raise ValueError(f"a {type(content).__name__} in it")
            return {name: _array(content.get(name), name) for name in names}
        except Exception as error:  # pickle and zipfile raise a dozen kinds for damaged or foreign files
            reason = printable(" ".join(str(error).split()))[:120] or type(error).__name__
            raise UnreadableFile(
                path,
                f"refused: damaged, or no dictionary with NumPy arrays {' and '.join(names)} ({reason}); expected "
                "published statistics, such as inception_FFHQ_512-f7b384ab.pth",
            ) from None


def _content(file: IO[bytes]) -> Any:
    if file.read(4) != b"PK\x03\x04":
        file.seek(0)
        return _content_of_old(file)
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if one.filename.rpartition("/")[2] == "data.pkl"]
        if len(members) != 1 or members[0].file_size > size:
            raise ValueError("not one data.pkl in the archive, or one larger than the file")
        return _load(io.BytesIO(archive.read(members[0])))


def _content_of_old(file: IO[bytes]) -> Any:
    if _load(file) != _MAGIC:
        raise ValueError("no file of PyTorch")
    for _ in range(_BEFORE):
        _load(file)
    return _load(file)


def _load(file: IO[bytes]) -> Any:
    """The next pickle of a file, which is left where it ends."""
    start = file.tell()
    check_pickle(file)
    end = file.tell()
    file.seek(start)
    return _Reader(io.BytesIO(file.read(end - start))).load()


def _array(found: Any, name: str) -> np.ndarray:
    if not isinstance(found, _Array):
        raise ValueError(f"{name} is not there, or no array")
    shape, dtype, fortran, data = _parts(found.state)
    if not isinstance(dtype, _Type) or not isinstance(dtype.code, str) or not _DTYPE.fullmatch(dtype.code):
        raise ValueError(f"{name} is not of real numbers")
    if dtype.order not in ("<", ">", "|", "="):
        raise ValueError(f"{name} has an unknown order of bytes")
    kind = np.dtype(dtype.code if dtype.order == "|" else f"{dtype.order}{dtype.code}")
    if len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} has another length than its shape {list(shape)} says")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _parts(state: Any) -> Tuple[Tuple[int, ...], Any, bool, bytes]:
    """Shape, type, order and bytes, as NumPy's arrays write their state."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("an array without its state")
    _, shape, dtype, fortran, data = state
    sides = shape if isinstance(shape, tuple) else (-1,)
    if len(sides) > 32 or not all(isinstance(side, int) and side >= 0 for side in sides):
        raise ValueError("an array of no shape")
    if not isinstance(data, bytes):
        raise ValueError("an array without plain bytes")
    return sides, dtype, bool(fortran), data
