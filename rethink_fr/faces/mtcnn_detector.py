"""The detector that needs no file: MTCNN (Zhang et al. 2016, arXiv:1604.02878) of the package `mtcnn`, weights inside.

Its first stage is replaced. The package's own sets aside memory for the square of the number of proposals, so that a
picture full of texture can ask for gigabytes; and when the smallest face is larger than 20 px, it shrinks the picture
until its network fails, and then reports no faces at all.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from rethink_fr.faces.face import Face, is_plausible, keep_best

_WINDOW = 12  # px: the field that the first network sees; it steps by 2 px
_STEP = 0.709  # between two sizes of the pyramid: half of the area
_MOST = 20_000  # candidates of one size that are looked at, the surest
_PROPOSALS = 1_500  # that later stages get: these do set memory aside for the square of it, 0.15 GB


class MtcnnDetector:
    """Finds faces by the three networks of MTCNN, on the processor; see `faces.face.Detector`.

    Raises:
        ValueError: if the package is not installed.
    """

    name = "mtcnn"
    side = 1600
    smallest = 20
    largest = 1600  # it looks at copies of all sizes itself
    tells_upright = True

    def __init__(self) -> None:
        weights = _weights_folder()
        import tensorflow as tf
        from mtcnn import MTCNN
        from mtcnn.stages import StageONet, StageRNet

        # By their full paths: a bare name would be looked for, and unpickled, in the working directory first.
        with tf.device("CPU:0"):
            refining = StageRNet(weights=str(weights / "rnet.lz4"))
            pointing = StageONet(weights=str(weights / "onet.lz4"))
            stages = [_proposal_stage(str(weights / "pnet.lz4")), refining, pointing]
        for stage, side in ((refining, 24), (pointing, 48)):
            stage._model = _as_graph(stage.model, [None, side, side, 3])
        self._cascade = MTCNN(stages=stages)

    def __call__(self, picture: NDArray[np.uint8], smallest: float, threshold: float) -> List[Face]:
        """Find faces of at least `smallest` px and with a score of at least `threshold` in RGB `[H, W, 3]`."""
        if min(picture.shape[:2]) < _WINDOW:
            return []
        rows = self._cascade.detect_faces(
            picture,
            min_face_size=max(_WINDOW, smallest),
            threshold_onet=threshold,
            output_type="numpy",
            box_format="xyxy",
            fit_to_image=False,
        )
        rows = np.asarray(rows, np.float64)
        if not len(rows):
            return []
        points = np.stack([rows[:, 6:11], rows[:, 11:16]], axis=2)  # of all x, then of all y
        faces = [Face(tuple(row[1:5]), five, float(row[5])) for row, five in zip(rows, points)]
        return [face for face in faces if is_plausible(face)]


def _proposal_stage(weights: str) -> Any:
    """The first stage: the package's network on a pyramid of sizes, and what is left of its proposals."""
    import tensorflow as tf
    from mtcnn.stages import StagePNet

    class Proposals(StagePNet):
        """See the module's docstring for why it is ours."""

        def __init__(self) -> None:
            super().__init__(weights=weights)
            self._model = _as_graph(self.model, [1, None, None, 3])

        def __call__(
            self, images_normalized: Any, min_face_size: float, threshold_pnet: float = 0.6, **others: Any
        ) -> NDArray[np.float64]:
            """Proposals for one picture, `[N, 6]`: its number 0, left, top, right, bottom of a square, score."""
            picture = np.asarray(images_normalized, np.float32)
            found = []
            for scale, shape in _pyramid(picture.shape[1:3], min_face_size):
                offsets, classes = self.model(tf.image.resize(picture, shape, method="area"))
                found.append(_windows(offsets.numpy()[0], classes.numpy()[0, ..., 1], scale, threshold_pnet))
            proposals = np.concatenate(found or [np.zeros([0, 5])])
            proposals = proposals[keep_best(proposals[:, :4], proposals[:, 4], 0.7, limit=_PROPOSALS)]
            return np.column_stack([np.zeros(len(proposals)), _squares(proposals[:, :4]), proposals[:, 4]])

    return Proposals()


def _as_graph(network: Any, shape: List[Optional[int]]) -> Any:
    """A network as one graph: each of its layers called from Python takes longer than all of them in a graph."""
    import tensorflow as tf

    return tf.function(lambda images: network(images), input_signature=[tf.TensorSpec(shape, tf.float32)])


def _pyramid(shape: Tuple[int, ...], smallest: float) -> List[Tuple[float, Tuple[int, int]]]:
    """Scales at which faces from `smallest` px up to the whole picture fill a window, and the picture's shapes."""
    sizes, scale = [], _WINDOW / smallest
    while min(shape) * scale >= _WINDOW:
        sizes.append((scale, (int(np.ceil(shape[0] * scale)), int(np.ceil(shape[1] * scale)))))
        scale *= _STEP
    return sizes


def _windows(
    offsets: NDArray[np.float32], scores: NDArray[np.float32], scale: float, threshold: float
) -> NDArray[np.float64]:
    """The windows of one size that may be faces, `[N, 5]`, in pixels of the whole picture."""
    rows, columns = np.nonzero(scores > threshold)
    if len(rows) > _MOST:
        surest = np.argpartition(-scores[rows, columns], _MOST)[:_MOST]
        rows, columns = rows[surest], columns[surest]
    corners = 2.0 * np.stack([columns, rows], axis=1)
    boxes = (np.concatenate([corners, corners + _WINDOW], axis=1) + offsets[rows, columns] * _WINDOW) / scale
    found = scores[rows, columns].astype(np.float64)
    kept = keep_best(boxes, found, 0.5, limit=_PROPOSALS)
    return np.column_stack([boxes, found])[kept]


def _squares(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes made square about their centres."""
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _weights_folder() -> Path:
    found = importlib.util.find_spec("mtcnn")
    if found is None or found.origin is None:
        advice = "pip install mtcnn" if sys.version_info >= (3, 10) else "use Python 3.10 or 3.11"
        raise ValueError(
            f"finding faces needs the package mtcnn, which is not installed; {advice}, or give --detector FILE.onnx"
        )
    return Path(found.origin).parent / "assets" / "weights"
