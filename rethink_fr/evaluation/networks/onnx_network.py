"""Runs the network of an ONNX file in the place of a published one: for identity embeddings, or for landmarks.

Every ONNX file tells the size and layout of its input, but neither the range of its values nor the crop. A file may
tell them in its metadata, as `rethink_fr.value_range` (such as `0..255`) and `rethink_fr.crop`
(`left,top,right,bottom`).
"""

from __future__ import annotations

from typing import Any, Dict, Literal, NamedTuple, Optional, Tuple

import numpy as np

from rethink_fr.evaluation.networks.crops import (
    Box,
    check_box,
    check_pictures,
    in_batches,
    in_picture,
    parse_box,
    resample_area,
    round_levels,
)
from rethink_fr.files.names import printable
from rethink_fr.weights.onnx_session import OnnxError, failure_reason, open_session

ValueRange = Literal["-1..1", "0..1", "0..255"]
LandmarkUnit = Literal["fraction", "pixel"]

_MAX_SIDE = 1024  # pixels
_METADATA = "rethink_fr."
# Levels 0..255 times the first plus the second.
_RANGES: Dict[str, Tuple[float, float]] = {"-1..1": (2.0 / 255.0, -1.0), "0..1": (1.0 / 255.0, 0.0), "0..255": (1, 0)}


class _InputSize(NamedTuple):
    rows: int
    columns: int
    channels_last: bool
    one_at_a_time: bool  # whether the file fixes the batch to 1


class OnnxEmbedder:
    """A network that turns a picture into a vector: its first output, flattened.

    Call with uint8 RGB `[B, H, W, 3]` of any size, one face each, framed as in FFHQ; returns float32 `[B, D]`.
    The crop is resized by area, in 8 bits, to the size that the file asks for. Channels are RGB.

    Args:
        name: for reports and errors, such as the file's name.
        model: the file's bytes.
        sha256: of these bytes, for reports.
        value_range: of the network's input. None: what the file's metadata say, or else [-1, 1], as most face networks
            have it.
        crop: which part of the picture the network sees. None: what the file's metadata say, or else all of it.

    Raises:
        OnnxError: if the file cannot be used in this way, or onnxruntime is not installed.
        ValueError: if the crop is empty or the value range unknown.
    """

    def __init__(
        self,
        name: str,
        model: bytes,
        sha256: str,
        value_range: Optional[ValueRange] = None,
        crop: Optional[Box] = None,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self._session = open_session(name, model)
        try:
            self._describe(value_range, crop)
        except UnicodeDecodeError:
            raise OnnxError(f"{name}: a name in it is not UTF-8; the file is damaged, get it again") from None

    def _describe(self, value_range: Optional[str], crop: Optional[Box]) -> None:
        """Read what the file says about its input and output. Only now does onnxruntime decode names in it."""
        name, metadata = self.name, self._session.get_modelmeta().custom_metadata_map
        if value_range is None:
            value_range = metadata.get(f"{_METADATA}value_range", "-1..1")
        if value_range not in _RANGES:
            raise ValueError(f"{name}: value range {printable(str(value_range))[:80]!r}; expected {', '.join(_RANGES)}")
        self._scale, self._offset = _RANGES[value_range]
        self.crop = check_box(crop or parse_box(metadata.get(f"{_METADATA}crop", "0,0,1,1")))
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{one.name} {one.type}" for one in inputs) or "none"
            raise OnnxError(f"{name}: inputs: {printable(found)[:120]}; expected one, float32 pictures")
        self._input = inputs[0].name
        self._output = self._session.get_outputs()[0].name
        self.size = _input_size(name, inputs[0].shape)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return in_batches(self._batch, check_pictures(images, self.name))

    def _batch(self, images: np.ndarray) -> np.ndarray:
        levels = round_levels(resample_area(images, self.crop, self.size.rows, self.size.columns))
        values = (levels * self._scale + self._offset).astype(np.float32)
        if not self.size.channels_last:
            values = values.transpose(0, 3, 1, 2)
        if not self.size.one_at_a_time:
            return self._run(values)
        return np.concatenate([self._run(values[number : number + 1]) for number in range(len(values))])

    def _run(self, values: np.ndarray) -> np.ndarray:
        try:
            (output,) = self._session.run([self._output], {self._input: np.ascontiguousarray(values)})
        except Exception as error:  # onnxruntime has a dozen kinds, and no common one of its own
            raise OnnxError(f"{self.name}: onnxruntime failed: {failure_reason(error)}") from None
        output = np.asarray(output)
        if output.dtype.kind != "f" or output.ndim < 2 or len(output) != len(values):
            raise OnnxError(
                f"{self.name}: output of type {output.dtype} and shape {list(output.shape)} for {len(values)} "
                "pictures; expected numbers [pictures, ...]"
            )
        return output.reshape(len(values), -1).astype(np.float32)


class OnnxLandmarks(OnnxEmbedder):
    """A network that finds landmarks: its first output, `[B, 2 L]` or `[B, L, 2]` with x before y.

    Call as `OnnxEmbedder`; returns float32 `[B, L, 2]`, (x, y) in pixels of the pictures that were given, the top left
    corner being (0, 0).

    Args:
        name, model, sha256, value_range, crop: as for `OnnxEmbedder`.
        unit: of the network's output. "fraction": 0..1 of the network's input; "pixel": pixels of it.

    Raises:
        OnnxError, ValueError: as `OnnxEmbedder`; ValueError also for an unknown unit.
    """

    def __init__(
        self,
        name: str,
        model: bytes,
        sha256: str,
        value_range: Optional[ValueRange] = None,
        crop: Optional[Box] = None,
        unit: LandmarkUnit = "fraction",
    ) -> None:
        if unit not in ("fraction", "pixel"):
            raise ValueError(f"{name}: landmark unit {unit!r}; expected fraction or pixel")
        super().__init__(name, model, sha256, value_range, crop)
        self._pixels = unit == "pixel"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        outputs = super().__call__(images)
        if outputs.shape[1] % 2:
            raise OnnxError(f"{self.name}: {outputs.shape[1]} numbers a face; expected x and y of each landmark")
        points = outputs.reshape(len(outputs), -1, 2).astype(np.float64)
        if self._pixels:
            points /= (self.size.columns, self.size.rows)
        return in_picture(points, self.crop, images)


def _input_size(name: str, shape: list) -> _InputSize:
    """Layout and size, from the input's shape in the file, such as `[1, 3, 112, 112]` or `['N', 160, 160, 3]`."""
    if len(shape) == 4:
        for channels_last, channels, rows, columns in ((False, *shape[1:]), (True, shape[3], *shape[1:3])):
            if channels == 3 and _is_size(rows) and _is_size(columns) and (shape[0] == 1 or not _is_size(shape[0])):
                return _InputSize(rows, columns, channels_last, shape[0] == 1)
    raise OnnxError(
        f"{name}: input of shape {printable(str(shape))[:120]}; expected [N, 3, height, width] or "
        f"[N, height, width, 3] with a fixed size of at most {_MAX_SIDE} pixels and N free or 1"
    )


def _is_size(dimension: Any) -> bool:
    """Whether a dimension is fixed and sensible. A free dimension is None or a name."""
    return isinstance(dimension, int) and 0 < dimension <= _MAX_SIDE
