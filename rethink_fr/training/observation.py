"""What is seen of a network while it is trained: sample sheets, and figures on faces that it is not trained on."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.metrics.fidelity import psnr, ssim
from rethink_fr.metrics.neighbours import identity_precision_recall
from rethink_fr.metrics.posterior import (
    SampleErrors,
    band_errors,
    error_ratio,
    interval_coverage,
    sample_errors,
    sample_spread,
    spread_error_correlation,
)
from rethink_fr.pictures.sheets import contact_sheet, heat_map
from rethink_fr.system import Inference

# From pictures, uint8 [B, R, R, 3] RGB, to vectors [B, D] that tell people apart.
Embed = Callable[[np.ndarray], np.ndarray]

_NEIGHBOURS = 4  # that a sphere of iPrecision reaches to
_SAMPLES = 8  # of each face
_SHOWN_SAMPLES = 3
_SAMPLED_FACES = 64  # at most: what they cost is what 512 faces cost without samples
_NOISE_SEED = 1
_WHITE = 25.5  # levels of deviation, a tenth of the range, that are white on the map of doubt


class ObservationInterrupted(Exception):  # noqa: N818 (reads as what happened)
    """The process was told to stop while faces were restored."""


class Observer:
    """Restores always the same faces, with the weights that a network has at the time.

    Args:
        inference: of the network; usually the average of the generator.
        samples: the faces of the sample sheets: `{"degraded", "clean"}`, uint8 `[N, R, R, 3]` RGB.
        validation: the faces that are measured, likewise.
        reconstructs: whether the network gets the clean faces and reproduces them; see `TrainingTask`.
        batch: number of faces that are restored at the same time.
        embed: the network that tells people apart, for iPrecision and iRecall; None to leave them out.

    Attributes:
        interrupted: asked between batches; after True nothing more is restored.
    """

    def __init__(
        self,
        inference: Inference,
        samples: Dict[str, np.ndarray],
        validation: Dict[str, np.ndarray],
        reconstructs: bool = False,
        batch: int = 8,
        embed: Optional[Embed] = None,
    ) -> None:
        self.samples = samples
        self.validation = validation
        self.batch = batch
        self.interrupted: Callable[[], bool] = lambda: False
        self._embed = embed
        self._inference = inference
        self._source = "clean" if reconstructs else "degraded"
        self._result = "reconstructed" if reconstructs else "restored"

        @tf.function
        def restore(pictures: tf.Tensor, control: Optional[tf.Tensor]) -> Dict[str, tf.Tensor]:
            given = [] if control is None else [control]
            return {name: images.to_uint8(made) for name, made in inference.function(pictures, *given).items()}

        self._restore = restore

    def sheet(self) -> np.ndarray:
        """A picture, uint8 `[H, W, 3]`, with a row for each sample face.

        Its columns: degraded (not if the network reconstructs), restored with noise 0, three samples and the doubt (if
        the noise has an effect; see `doubt_map`), the texture image (if the network makes one), clean.
        """
        made = self._restored(self.samples, None)
        columns = {} if self._source == "clean" else {"degraded": self.samples["degraded"]}
        columns[self._result] = made["restored"]
        if self._inference.stochastic:
            samples = np.stack([self._draw(self.samples, face) for face in range(len(made["restored"]))])
            for number in range(_SHOWN_SAMPLES):
                columns[f"noise {number + 1}"] = samples[:, number]
            columns["doubt"] = np.stack([doubt_map(of_face) for of_face in samples])
        if "texture" in made:
            columns["texture"] = made["texture"]
        columns["clean"] = self.samples["clean"]
        return contact_sheet(list(columns.values()), list(columns))

    def validate(self) -> Dict[str, float]:
        """Mean PSNR in dB and mean SSIM over the validation faces, restored with noise 0, and measures of samples.

        Returns:
            "psnr" and "ssim"; for a network that restores also "degraded_psnr" and "degraded_ssim", of its inputs. With
            `embed` also "iprecision" and "irecall", for which each face counts as a person of its own (our reading: a
            restoration has to be nearer to its clean face than the fourth nearest other face is). If the noise has an
            effect, also what `_measured_samples` returns.

        Raises:
            ObservationInterrupted: see `interrupted`.
        """
        clean = self.validation["clean"]
        restored = self._restored(self.validation, None)["restored"]
        compared = {"": restored}
        if self._source != "clean":
            compared["degraded_"] = self.validation["degraded"]
        figures = {}
        for prefix, pictures in compared.items():
            figures[f"{prefix}psnr"] = float(np.mean(psnr(pictures, clean)))
            figures[f"{prefix}ssim"] = float(np.mean(ssim(pictures, clean)))
        if self._embed is not None:
            people = np.arange(len(clean))
            spheres = identity_precision_recall(
                self._embed(clean), self._embed(restored), people, people, k=_NEIGHBOURS
            )
            figures.update(zip(("iprecision", "irecall"), spheres))
        return {**figures, **self._measured_samples()} if self._inference.stochastic else figures

    def _measured_samples(self) -> Dict[str, float]:
        """Measures of eight samples of each of the first 64 validation faces; see `rethink_fr.metrics.posterior`.

        Returns:
            "one_sample_psnr" and "mean_of_8_psnr", means over faces in dB; "ratio", "ratio_fine", "ratio_middle" and
            "ratio_coarse", errors of one sample over errors of the mean of eight (16 / 9 is right); "coverage_80" (0.8
            is right) and "spread_error_correlation", means over faces.
        """
        errors: Dict[str, List[SampleErrors]] = {}
        values: Dict[str, List[float]] = {}
        for face, clean in enumerate(self.validation["clean"][:_SAMPLED_FACES]):
            samples = self._draw(self.validation, face)
            for band, found in {"": sample_errors(samples, clean), **band_errors(samples, clean)}.items():
                errors.setdefault(f"ratio_{band}" if band else "ratio", []).append(found)
            for name, value in {
                "one_sample_psnr": float(np.mean(psnr(samples, np.broadcast_to(clean, samples.shape)))),
                f"mean_of_{_SAMPLES}_psnr": float(psnr(samples.mean(axis=0)[None], clean[None])[0]),
                "coverage_80": interval_coverage(samples, clean, 0.8),
                "spread_error_correlation": spread_error_correlation(samples, clean),
            }.items():
                values.setdefault(name, []).append(value)
        ratios = {name: error_ratio(found) for name, found in errors.items()}
        return {**{name: float(np.mean(found)) for name, found in values.items()}, **ratios}

    def _draw(self, faces: Dict[str, np.ndarray], face: int) -> np.ndarray:
        """Eight samples of one face, uint8 `[8, R, R, 3]`; always with the same noise."""
        shape = [_SAMPLES, *self._inference.control_shape[1:]]
        noise = tf.random.stateless_normal(shape, [_NOISE_SEED, face])
        repeated = np.repeat(faces[self._source][face : face + 1], _SAMPLES, axis=0)
        return self._restored({self._source: repeated}, noise)["restored"]

    def _restored(self, faces: Dict[str, np.ndarray], noise: Optional[tf.Tensor]) -> Dict[str, np.ndarray]:
        """The images that the network makes, uint8, by name. `noise` None stands for zeros."""
        source = faces[self._source]
        parts = []
        for start in range(0, len(source), self.batch):
            if self.interrupted():
                raise ObservationInterrupted
            part = source[start : start + self.batch]
            control = None
            if self._inference.control == "noise":
                shape = [len(part), *self._inference.control_shape[1:]]
                control = tf.zeros(shape) if noise is None else noise[start : start + self.batch]
            elif self._inference.control == "fidelity":
                control = tf.ones([])  # as trained
            parts.append(self._restore(images.to_model(part), control))
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def doubt_map(samples: np.ndarray) -> np.ndarray:
    """How much the samples of one picture differ at each pixel, as a heat map that can be compared between pictures.

    Args:
        samples: uint8 `[S, H, W, 3]`.

    Returns:
        uint8 `[H, W, 3]` of the standard deviation, averaged over channels: black for 0, white for a tenth of the range
        (25.5 levels) and more.
    """
    return heat_map(sample_spread(samples).mean(axis=-1) / _WHITE)
