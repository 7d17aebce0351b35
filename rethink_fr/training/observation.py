"""What is seen of a network while it is trained: sample sheets, and PSNR and SSIM on faces it is not trained on."""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.metrics.fidelity import psnr, ssim
from rethink_fr.pictures.sheets import contact_sheet
from rethink_fr.system import Inference

_NOISE_DRAWS = 3


class Observer:
    """Restores always the same faces, with the weights that a network has at the time.

    Args:
        inference: of the network; usually the average of the generator.
        samples: the faces of the sample sheets: `{"degraded", "clean"}`, uint8 `[N, R, R, 3]` RGB.
        validation: the faces that are measured, likewise.
        reconstructs: whether the network gets the clean faces and reproduces them; see `TrainingTask`.
        batch: number of faces that are restored at the same time.
    """

    def __init__(
        self,
        inference: Inference,
        samples: Dict[str, np.ndarray],
        validation: Dict[str, np.ndarray],
        reconstructs: bool = False,
        batch: int = 8,
    ) -> None:
        self.samples = samples
        self.validation = validation
        self.batch = batch
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

        Its columns: degraded (not if the network reconstructs), restored with noise 0, restored with three draws of
        noise (if the noise has an effect), the texture image (if the network makes one), clean.
        """
        count = len(self.samples["clean"])
        made = self._restored(self.samples, None)
        columns = {} if self._source == "clean" else {"degraded": self.samples["degraded"]}
        columns[self._result] = made["restored"]
        if self._inference.stochastic:
            shape = [_NOISE_DRAWS, count, *self._inference.control_shape[1:]]
            for number, noise in enumerate(tf.random.stateless_normal(shape, [0, 0])):
                columns[f"noise {number + 1}"] = self._restored(self.samples, noise)["restored"]
        if "texture" in made:
            columns["texture"] = made["texture"]
        columns["clean"] = self.samples["clean"]
        return contact_sheet(list(columns.values()), list(columns))

    def validate(self) -> Dict[str, float]:
        """Mean PSNR in dB and mean SSIM over the validation faces, restored with noise 0.

        Returns:
            "psnr" and "ssim"; for a network that restores also "degraded_psnr" and "degraded_ssim", of its inputs.
        """
        clean = self.validation["clean"]
        compared = {"": self._restored(self.validation, None)["restored"]}
        if self._source != "clean":
            compared["degraded_"] = self.validation["degraded"]
        figures = {}
        for prefix, pictures in compared.items():
            figures[f"{prefix}psnr"] = float(np.mean(psnr(pictures, clean)))
            figures[f"{prefix}ssim"] = float(np.mean(ssim(pictures, clean)))
        return figures

    def _restored(self, faces: Dict[str, np.ndarray], noise: Optional[tf.Tensor]) -> Dict[str, np.ndarray]:
        """The images that the network makes, uint8, by name. `noise` None stands for zeros."""
        source = faces[self._source]
        parts = []
        for start in range(0, len(source), self.batch):
            part = source[start : start + self.batch]
            control = None
            if self._inference.control == "noise":
                shape = [len(part), *self._inference.control_shape[1:]]
                control = tf.zeros(shape) if noise is None else noise[start : start + self.batch]
            elif self._inference.control == "fidelity":
                control = tf.ones([])  # as trained
            parts.append(self._restore(images.to_model(part), control))
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}
