"""Tells from the bytes of an ONNX file whether it has weights in other files. The format is Protocol Buffers.

An ONNX file may name other files that hold its weights, by any path. We give the runtime bytes, and it cannot know
where these come from: it would look for such a file in the working directory, or anywhere on the disk.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Tuple, Union

# For each kind of message, the fields that hold other messages, by number; see onnx.proto.
_INNER: Dict[str, Dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_MAX_FIELDS = 5_000_000  # a network of 1,000 layers has some 50,000


class DamagedOnnx(ValueError):  # noqa: N818 (a state, not a fault)
    """Bytes that are not an ONNX file. The message says what is wrong with them."""


def has_external_data(model: bytes) -> bool:
    """Whether an ONNX file has weights in other files.

    Raises:
        DamagedOnnx: if it is damaged, or has far more parts than networks have.
    """
    left: List[Tuple[str, memoryview]] = [("model", memoryview(model))]
    count = 0
    while left:
        kind, message = left.pop()
        for number, value in _fields(message):
            count += 1
            if count > _MAX_FIELDS:
                raise DamagedOnnx(f"has more than {_MAX_FIELDS:,} parts")
            if kind == "tensor" and number in (_EXTERNAL_DATA, _DATA_LOCATION) and value != 0:
                return True
            inner = _INNER[kind].get(number)
            if inner is not None and isinstance(value, memoryview):
                left.append((inner, value))
    return False


def _fields(message: memoryview) -> Iterator[Tuple[int, Union[int, memoryview]]]:
    """Number and value of each field. The value of a field that has a length is its bytes, not copied."""
    place = 0
    while place < len(message):
        key, place = _whole_number(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _whole_number(message, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _whole_number(message, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise DamagedOnnx("has a field of no known kind")
        if length > len(message) - place:
            raise DamagedOnnx("is cut short")
        yield number, message[place : place + length]
        place += length


def _whole_number(message: memoryview, place: int) -> Tuple[int, int]:
    """Read a number that is stored in 7 bits of each byte, the lowest first; returns it and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place == len(message):
            raise DamagedOnnx("is cut short")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise DamagedOnnx("has a number of more than 64 bits")
