"""The stochastic restorer as one of `RESTORERS`."""

from __future__ import annotations

from typing import Dict, Optional

import tensorflow as tf

from rethink_fr.config import ModelConfig
from rethink_fr.models import Restorer
from rethink_fr.types import Inference, Precision, RestorerKind
from rethink_fr.workflows.build import build_restorer


def inference(restorer: Restorer, precision: Precision = "float32") -> Inference:
    """The restorer with its noise as an input.

    Raises:
        ValueError: if another precision than float32 is asked for.
    """
    if precision != "float32":
        raise ValueError(f"--precision {precision}: the stochastic restorer computes in float32 only")

    def restore(images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
        return {"restored": restorer(images, noise).image}

    return Inference(restorer, restore, restorer.resolution, None, "noise", (None, *restorer.noise_shape))


KIND = RestorerKind(ModelConfig, build_restorer, inference)
