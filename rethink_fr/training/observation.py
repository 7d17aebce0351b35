"""Looking at a restorer on fixed faces: sample sheets, and PSNR / SSIM on held-out ones."""

from __future__ import annotations

from typing import Dict

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.metrics.fidelity import psnr, ssim
from rethink_fr.models import Restorer
from rethink_fr.training.sheets import contact_sheet

_NOISE_DRAWS = 3


class Observer:
    """Restores fixed faces with the current weights of a restorer.

    Args:
        restorer: usually the generator's average.
        samples: `{"degraded", "clean"}`, uint8 `[N, R, R, 3]`, shown in the sheets.
        validation: the same for the faces that are measured.
        batch: faces restored at a time.
    """

    def __init__(
        self, restorer: Restorer, samples: Dict[str, np.ndarray], validation: Dict[str, np.ndarray], batch: int = 8
    ) -> None:
        self.samples = samples
        self.validation = validation
        self.batch = batch
        self._restorer = restorer
        self._restore = tf.function(lambda degraded, noise: images.to_uint8(restorer(degraded, noise).image))
        self._noise = tf.random.stateless_normal([_NOISE_DRAWS, len(samples["clean"]), *restorer.noise_shape], [0, 0])

    def sheet(self) -> np.ndarray:
        """uint8 picture: degraded, restored without noise, with several noise draws, clean."""
        degraded = self.samples["degraded"]
        silent = self._restored(degraded, tf.zeros_like(self._noise[0]))
        draws = [self._restored(degraded, noise) for noise in self._noise] if self._restorer.use_noise else []
        titles = ["degraded", "restored", *(f"noise {number + 1}" for number in range(len(draws))), "clean"]
        return contact_sheet([degraded, silent, *draws, self.samples["clean"]], titles)

    def validate(self) -> Dict[str, float]:
        """Mean PSNR (dB) and SSIM over the validation faces, noise 0, of the restored and of the degraded images."""
        degraded, clean = self.validation["degraded"], self.validation["clean"]
        noise = tf.zeros([len(clean), *self._restorer.noise_shape])
        restored = self._restored(degraded, noise)
        return {
            "psnr": float(np.mean(psnr(restored, clean))),
            "ssim": float(np.mean(ssim(restored, clean))),
            "degraded_psnr": float(np.mean(psnr(degraded, clean))),
            "degraded_ssim": float(np.mean(ssim(degraded, clean))),
        }

    def _restored(self, degraded: np.ndarray, noise: tf.Tensor) -> np.ndarray:
        parts = []
        for start in range(0, len(degraded), self.batch):
            part = slice(start, start + self.batch)
            parts.append(self._restore(images.to_model(degraded[part]), noise[part]).numpy())
        return np.concatenate(parts)
