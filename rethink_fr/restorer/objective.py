"""What the restorer is trained for."""

from __future__ import annotations

from typing import Optional, Sequence

import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.adversarial import nonsaturating_generator_loss
from rethink_fr.losses.perceptual import feature_loss, preprocess, style_loss, vgg19_features
from rethink_fr.losses.reconstruction import l1_loss
from rethink_fr.restorer.network import Restoration


class RestorerObjective:
    """Eq. 7: L = alpha L_ADV + L_1 + L_percep + L_VQ, term by term.

    Args:
        adversarial: alpha.
        l1, commitment: weights of L_1 and of the commitment loss L_VQ.
        vgg: VGG-19 without top, or None for no perceptual term.
        feature, style: weights of the five taps in Eqs. 14 and 15.
    """

    def __init__(
        self,
        adversarial: float,
        l1: float,
        commitment: float,
        vgg: Optional[keras.Model],
        feature: Sequence[float],
        style: Sequence[float],
    ) -> None:
        # The perceptual terms carry their weights per tap.
        self.weights = {"adversarial": adversarial, "l1": l1, "commitment": commitment}
        if vgg is not None:
            self.weights.update(feature=1.0, style=1.0)
        self.vgg = vgg
        self.feature_weights = feature
        self.style_weights = style

    def __call__(self, clean: tf.Tensor, restoration: Restoration, fake_logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Unweighted scalar terms, one per key of `weights`, means over this replica."""
        terms = {
            "adversarial": nonsaturating_generator_loss(fake_logits),
            "l1": l1_loss(clean, restoration.image),
            "commitment": restoration.commitment_loss,
        }
        if self.vgg is not None:
            wanted = vgg19_features(self.vgg, preprocess(clean))
            found = vgg19_features(self.vgg, preprocess(restoration.image))
            terms["feature"] = feature_loss(wanted, found, self.feature_weights)
            terms["style"] = style_loss(wanted, found, self.style_weights)
        return terms

    def total(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum."""
        return tf.add_n([self.weights[name] * term for name, term in terms.items()])
