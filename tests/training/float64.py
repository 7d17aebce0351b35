"""Training in float64, for tests that compare devices: float32 sums in another order are amplified, these are not."""

from __future__ import annotations

from typing import Any, Dict

import tensorflow as tf
from tensorflow import keras

from rethink_fr.training.trainer import AdversarialTrainer


def train_in_float64() -> None:
    """From now on the layers made in this process compute in float64, and training steps get float64 images."""
    keras.mixed_precision.set_global_policy("float64")
    step = AdversarialTrainer.train_step

    def train_step(self: AdversarialTrainer, batch: Dict[str, tf.Tensor]) -> Dict[str, Any]:
        wide = {name: tf.cast(part, tf.float64) if part.dtype.is_floating else part for name, part in batch.items()}
        return step(self, wide)

    AdversarialTrainer.train_step = train_step
