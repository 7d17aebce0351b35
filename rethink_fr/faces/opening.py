"""Chooses and loads a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from rethink_fr.faces.face import Detector
from rethink_fr.files.names import printable


def check_detector(path: Optional[Path]) -> None:
    """Refuse what cannot be a detector, without loading anything.

    Raises:
        ValueError: if there is no such file, or it does not end in .onnx.
    """
    if path is None:
        return
    if path.suffix.lower() != ".onnx":
        raise ValueError(
            f"--detector {printable(path)}: expected an ONNX file (.onnx); without --detector MTCNN is used"
        )
    if not path.is_file():
        raise ValueError(f"--detector {printable(path)}: no such file")


def open_detector(path: Optional[Path] = None) -> Detector:
    """Load the detector of an ONNX file, or MTCNN, whose weights come with its package.

    Raises:
        ValueError: if it cannot be used; the message says why in one line.
    """
    check_detector(path)
    if path is None:
        from rethink_fr.faces.mtcnn_detector import MtcnnDetector

        return MtcnnDetector()
    from rethink_fr.faces.onnx_detector import OnnxDetector

    return OnnxDetector(path)
