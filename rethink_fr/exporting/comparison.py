"""Compares an exported model with the Keras model on faces: pictures, size and time."""

from __future__ import annotations

import time
from statistics import median
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from rethink_fr import images as ranges
from rethink_fr.exporting.faces import Faces
from rethink_fr.exporting.noise import draw_noise
from rethink_fr.metrics.fidelity import psnr
from rethink_fr.system import Inference

_WARM_UP = 2  # calls that are not timed: a SavedModel's two signatures, with noise 0 and with noise

Arrays = Dict[str, npt.NDArray[np.generic]]
# uint8 `[1, R, R, 3]`, and the control if there is one -> uint8 images by name
Restore = Callable[[npt.NDArray[np.uint8], Optional[npt.NDArray[np.float32]]], Arrays]


class ExportError(ValueError):
    """An exported model that cannot be written, or does not do what the Keras one does."""


class Tolerance(NamedTuple):
    """How far an exported model may be from the Keras model on any face; None where it does not matter."""

    levels: Optional[int] = None  # of 255
    psnr: Optional[float] = None  # dB, at least


class Comparison(NamedTuple):
    """What was found. The Keras model runs as `restore` runs it, with compiled operators where there are any."""

    faces: str  # how many of which kind
    levels: int  # the largest difference of any value
    psnr: float  # dB, of the face and output where it is lowest
    seconds: float  # median for one face
    keras_seconds: float
    size: int  # bytes of the exported model
    keras_size: int  # bytes of the weights

    def failure(self, tolerance: Tolerance) -> Optional[str]:
        """What is beyond the tolerance, in words; None if nothing is."""
        if tolerance.levels is not None and self.levels > tolerance.levels:
            return f"by {self.levels} of 255 levels, at most {tolerance.levels} is accepted"
        if tolerance.psnr is not None and not self.psnr >= tolerance.psnr:
            return f"so that its PSNR to it is {self.psnr:.1f} dB, at least {tolerance.psnr:g} dB is accepted"
        return None

    def text(self, tolerance: Tolerance) -> str:
        """How far it is from the Keras model, in words."""
        levels, decibels = f"{self.levels} of 255 levels", _decibels(self.psnr)
        if tolerance.levels is not None:
            levels += f" (at most {tolerance.levels} is accepted)"
        if tolerance.psnr is not None:
            decibels += f" (at least {tolerance.psnr:g} dB is accepted)"
        return f"Largest difference to the Keras model on {self.faces}: {levels}; lowest PSNR to it: {decibels}."

    def costs(self) -> str:
        """Size and time, in words."""
        return (
            f"Size {self.size / 1e6:.1f} MB (Keras weights {self.keras_size / 1e6:.1f} MB); one face takes "
            f"{self.seconds:.3g} s on the processor (Keras {self.keras_seconds:.3g} s, ratio "
            f"{self.seconds / self.keras_seconds:.2f})."
        )


def compare(inference: Inference, faces: Faces, restore: Restore, size: int) -> Comparison:
    """Restore each face by the Keras model and by an exported one, one at a time.

    The first is restored with noise 0 or fidelity 1, then face k with the k-th noise of seed 0 or with fidelity 0.5.

    Args:
        inference: the Keras model, whose function is traced here.
        faces: what to compare on.
        restore: runs the exported model.
        size: bytes of the exported model.
    """
    keras = tf.function(inference.function, reduce_retracing=True)

    def keras_restore(picture: npt.NDArray[np.uint8], control: Optional[npt.NDArray[np.float32]]) -> Arrays:
        controls = [] if control is None else [tf.constant(control)]
        made = keras(ranges.to_model(picture), *controls)
        return {name: ranges.to_uint8(image).numpy() for name, image in made.items()}

    levels, decibels = 0, float("inf")
    times: Dict[str, List[float]] = {"keras": [], "exported": []}
    for picture, control in _cases(inference, faces):
        made = {}
        for name, function in (("keras", keras_restore), ("exported", restore)):
            started = time.perf_counter()
            made[name] = function(picture, control)
            times[name].append(time.perf_counter() - started)
        for name, wanted in made["keras"].items():
            found = made["exported"][name]
            levels = max(levels, int(np.max(np.abs(found.astype(np.int16) - wanted.astype(np.int16)))))
            decibels = min(decibels, float(psnr(found, wanted)[0]))
    seconds = {name: median(spent[_WARM_UP:]) for name, spent in times.items()}
    keras_size = sum(weight.shape.num_elements() * weight.dtype.size for weight in inference.network.weights)
    kind = f"{len(faces.pictures)} {faces.kind}"
    return Comparison(kind, levels, decibels, seconds["exported"], seconds["keras"], size, keras_size)


def _cases(
    inference: Inference, faces: Faces
) -> Iterator[Tuple[npt.NDArray[np.uint8], Optional[npt.NDArray[np.float32]]]]:
    """The calls that are compared: a picture `[1, R, R, 3]` and its control. The last is there twice, for its time."""
    count = len(faces.pictures)
    controls: Sequence[Optional[npt.NDArray[np.float32]]]
    if inference.control == "noise":
        shape = [int(size or 0) for size in inference.control_shape[1:]]
        noise = draw_noise(shape, tf.zeros([count], tf.int64), tf.range(count)).numpy()
        controls = [np.zeros_like(noise[:1]), *(row[None] for row in noise)]
    elif inference.control == "fidelity":
        controls = [np.ones([1], np.float32), *[np.full([1], 0.5, np.float32)] * count]
    else:
        controls = [None] * (count + 1)
    for number, control in enumerate(controls):
        yield faces.pictures[max(0, number - 1)][None], control
    yield faces.pictures[-1:], controls[-1]


def _decibels(value: float) -> str:
    return "infinite" if value == float("inf") else f"{value:.1f} dB"
