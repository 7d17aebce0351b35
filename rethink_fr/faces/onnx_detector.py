"""A face detector from an ONNX file, of one of the layouts of `faces.onnx_layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rethink_fr.faces.face import Face, is_plausible, keep_best
from rethink_fr.faces.onnx_layouts import layout_of
from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_bytes
from rethink_fr.weights.onnx_session import MAX_ONNX_BYTES, OnnxError, failure_reason, open_session

_ANCHORS = "rethink_fr.anchors"  # in the metadata of a file
_MULTIPLE = 32  # that the sides of an input are one of
_LARGEST_INPUT = 4096
_LARGEST_COPY = 1600  # px: the longer side of a picture, if its size is free
_OVERLAP = 0.4  # intersection over union of two faces
_MOST = 5_000  # candidates, the surest


class OnnxDetector:
    """Finds faces with the network of an ONNX file; see `faces.face.Detector`.

    The file's input is `[1, 3, H, W]` in float32, BGR in 0..255 (RetinaFace: less its mean). H and W are free or fixed;
    into a fixed input the picture is fitted at its top left.

    Raises:
        ValueError: if the file cannot be read or used, is of no known layout, or onnxruntime is not installed.
    """

    smallest = 16
    tells_upright = False

    def __init__(self, path: Path) -> None:
        self.name = printable(path.name)
        self._session = open_session(self.name, read_bytes(path, MAX_ONNX_BYTES))
        try:
            inputs = self._session.get_inputs()
            self._outputs = [one.name for one in self._session.get_outputs()]
            metadata = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError:
            raise OnnxError(f"{self.name}: a name in it is not UTF-8; the file is damaged, get it again") from None
        self._input, self._size = _input_of(self.name, inputs)
        self.side = _LARGEST_COPY if self._size is None else min(self._size)
        # What an export says about its outputs' shapes is often incomplete, so that a black picture has to tell them.
        black = np.zeros([*(self._size or (_MULTIPLE, _MULTIPLE)), 3], np.float32)
        anchors = {"anchors": metadata[_ANCHORS]} if _ANCHORS in metadata else {}
        try:
            self._layout = layout_of({name: array.shape for name, array in self._run(black).items()}, **anchors)
        except ValueError as error:
            raise OnnxError(f"{self.name}: {error}") from None
        self.largest = self._layout.largest

    def __call__(self, picture: NDArray[np.uint8], smallest: float, threshold: float) -> List[Face]:
        """Find faces of at least `smallest` px and with a score of at least `threshold` in RGB `[H, W, 3]`."""
        values, scale = self._fitted(picture)
        outputs = self._run(values[..., ::-1] - np.array(self._layout.mean, np.float32))
        try:
            boxes, points, scores = self._layout.read(outputs, (values.shape[0], values.shape[1]))
        except ValueError as error:
            raise OnnxError(f"{self.name}: {error}") from None
        found = np.flatnonzero(scores >= threshold)
        found = found[np.argsort(-scores[found], kind="stable")[:_MOST]]
        found = found[keep_best(boxes[found], scores[found], _OVERLAP)]
        boxes, points = (boxes + 0.5) / scale - 0.5, (points + 0.5) / scale - 0.5
        faces = [Face(tuple(boxes[one].tolist()), points[one], float(scores[one])) for one in found]
        return [face for face in faces if is_plausible(face) and face.size >= smallest]

    def _run(self, values: NDArray[np.float32]) -> Dict[str, NDArray[np.float64]]:
        """The outputs for one picture `[H, W, 3]`, by name."""
        inputs = {self._input: np.ascontiguousarray(values.transpose(2, 0, 1)[None])}
        try:
            arrays = self._session.run(self._outputs, inputs)
            return {name: np.asarray(array, np.float64) for name, array in zip(self._outputs, arrays)}
        except Exception as error:  # onnxruntime has a dozen kinds, and no common one of its own
            raise OnnxError(f"{self.name}: onnxruntime failed: {failure_reason(error)}") from None

    def _fitted(self, picture: NDArray[np.uint8]) -> Tuple[NDArray[np.float32], float]:
        """The picture at the top left of an input, float32 `[H, W, 3]`, and the scale that it has there."""
        rows, columns = picture.shape[:2]
        if self._size is None:
            height, width = (-(-length // _MULTIPLE) * _MULTIPLE for length in (rows, columns))
            scale = 1.0
        else:
            height, width = self._size
            scale = min(height / rows, width / columns)
            rows, columns = max(1, round(rows * scale)), max(1, round(columns * scale))
            picture = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR))
        values = np.zeros([height, width, 3], np.float32)
        values[:rows, :columns] = picture[:height, :width]
        return values, scale


def _input_of(name: str, inputs: List[Any]) -> Tuple[str, Optional[Tuple[int, int]]]:
    """The name of the only input, and its rows and columns if they are fixed."""
    shape = inputs[0].shape if len(inputs) == 1 and inputs[0].type == "tensor(float)" else []
    if len(shape) == 4 and shape[1] == 3 and shape[0] in (1, None, "N", "batch", "batch_size"):
        rows, columns = shape[2:]
        if not isinstance(rows, int) and not isinstance(columns, int):
            return inputs[0].name, None
        if isinstance(rows, int) and isinstance(columns, int) and 0 < min(rows, columns):
            if max(rows, columns) <= _LARGEST_INPUT and rows % _MULTIPLE == 0 and columns % _MULTIPLE == 0:
                return inputs[0].name, (rows, columns)
    found = ", ".join(f"{one.type} {one.shape}" for one in inputs) or "none"
    raise OnnxError(
        f"{name}: inputs: {printable(found)[:120]}; expected one of float32 [1, 3, H, W], "
        "H and W free or multiples of 32"
    )
