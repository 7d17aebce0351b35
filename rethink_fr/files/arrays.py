"""Reads NPZ files of numbers within limits: what a file announces is checked before memory is taken for it."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, open_regular

MAX_ARRAY_BYTES = 1 << 30  # of all arrays of a file together
_MAX_ARRAYS = 10_000
_MAX_HEADER = 10_000  # bytes; one of plain numbers has 118
_ENDING = ".npy"


def read_npz(
    path: Union[str, Path], names: Optional[Sequence[str]] = None, limit: int = MAX_ARRAY_BYTES
) -> Dict[str, np.ndarray]:
    """Read arrays of whole or floating-point numbers that `np.savez` or `np.savez_compressed` wrote.

    Args:
        path: of the file.
        names: of the arrays that are wanted; None takes all.
        limit: the most bytes that these arrays may take together.

    Returns:
        The arrays by name.

    Raises:
        UnreadableFile: if the file cannot be read or is damaged, lacks a name, or if what is wanted is not numbers or
            takes more than `limit` bytes.
    """
    with open_regular(path, limit + (1 << 20)) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _arrays(path, archive, names, limit)
        except UnreadableFile:
            raise
        except Exception as error:  # zipfile, zlib, numpy's reader and Python's parser behind it raise a dozen kinds
            reason = printable(" ".join(str(error).split()))[:120] or type(error).__name__
            raise UnreadableFile(path, f"no NPZ file, or damaged ({reason})") from None


def _arrays(
    path: Union[str, Path], archive: zipfile.ZipFile, names: Optional[Sequence[str]], limit: int
) -> Dict[str, np.ndarray]:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) > _MAX_ARRAYS or len(members) < len(archive.infolist()):
        raise UnreadableFile(path, f"more than {_MAX_ARRAYS:,} arrays, or several of one name")
    if names is None:
        names = [name[: -len(_ENDING)] for name in members if name.endswith(_ENDING)]
    arrays: Dict[str, np.ndarray] = {}
    for name in names:
        shown = printable(name)[:80]
        info = members.get(name + _ENDING)
        if info is None:
            raise UnreadableFile(path, f"no array {shown} in it")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableFile(path, f"{shown} is compressed in another way than NPZ files are")
        with archive.open(info) as member:
            shape, fortran, dtype = _header(path, shown, member)
            if dtype.kind not in "iuf":
                raise UnreadableFile(path, f"{shown} is of type {_described(dtype)}, expected real numbers")
            size = math.prod(shape) * dtype.itemsize
            if size > limit:
                raise UnreadableFile(
                    path, f"{shown} has the shape {list(shape)}: more than {limit:,} bytes in all, which is not taken"
                )
            limit -= size
            data = member.read(size)
            if len(data) < size or member.read(1):  # reading to the end also checks the checksum
                raise UnreadableFile(
                    path, f"{shown} has another length than its shape {list(shape)} says; it is damaged"
                )
        arrays[name] = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return arrays


def _header(path: Union[str, Path], shown: str, member: IO[bytes]) -> Tuple[Tuple[int, ...], bool, np.dtype]:
    """Read shape, order and type from the beginning of an `.npy` file. See NEP 1."""
    version = np.lib.format.read_magic(io.BytesIO(member.read(8)))
    if version not in ((1, 0), (2, 0)):
        raise UnreadableFile(path, f"{shown} is of type structure, expected real numbers")  # (3, 0) is for nothing else
    width, read = (
        (2, np.lib.format.read_array_header_1_0) if version == (1, 0) else (4, np.lib.format.read_array_header_2_0)
    )
    length = member.read(width)
    if int.from_bytes(length, "little") > _MAX_HEADER:
        raise UnreadableFile(path, f"{shown} has a header of more than {_MAX_HEADER:,} bytes")
    shape, fortran, dtype = read(io.BytesIO(length + member.read(int.from_bytes(length, "little"))))
    if len(shape) > 32 or any(side < 0 for side in shape):
        raise UnreadableFile(path, f"{shown} has no shape that an array can have")
    return shape, fortran, dtype


def _described(dtype: np.dtype) -> str:
    return {"O": "object", "V": "structure", "S": "text", "U": "text"}.get(dtype.kind, dtype.name)
