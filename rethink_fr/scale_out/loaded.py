"""What workers load once for each process, however many threads ask for it."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
_lock = threading.RLock()
_beside = ThreadPoolExecutor(max_workers=1)


def _once(function: Function) -> Function:
    cached = functools.lru_cache(maxsize=4)(function)

    @functools.wraps(function)
    def locked(*arguments: Any) -> Any:
        with _lock:
            return cached(*arguments)

    return locked  # type: ignore[return-value]


class Later:
    """What a function returns, computed in another thread meanwhile. Pickled, it is what was returned."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._future = _beside.submit(function)

    def result(self) -> Any:
        """Wait for it."""
        return self._future.result()

    def __reduce__(self) -> Any:
        return _known, (self.result(),)


def _known(value: Any) -> Later:
    return Later(lambda: value)


@_once
def restorer(model: str, precision: Any) -> Any:
    """See `inference.loading.load_restorer`."""
    from rethink_fr.inference.loading import load_restorer

    return load_restorer(Path(model), precision)


def restore_grey(model: Any) -> None:
    """Restore a grey square: an exception says that the restorer does not work on this machine at all."""
    from rethink_fr.inference.faces import face_noise, restore_faces

    square = np.full([model.resolution, model.resolution, 3], 128, np.uint8)
    restore_faces(model, [square], [face_noise(model, square, 0, 1)])


@_once
def detector(path: Optional[str]) -> Any:
    """See `faces.opening.open_detector`; None stands for MTCNN."""
    from rethink_fr.faces.opening import open_detector

    return open_detector(None if path is None else Path(path))


@_once
def enlarger(path: Optional[str], upscale: int) -> Any:
    """See `inference.background.background`."""
    from rethink_fr.inference.background import background

    return background(None if path is None else Path(path), upscale)


@_once
def embedder(path: Optional[str]) -> Any:
    """An identity network; None if there is no file for it."""
    if path is None:
        return None
    from rethink_fr.evaluation.networks.loading import load_onnx_embedder

    return load_onnx_embedder(Path(path))
