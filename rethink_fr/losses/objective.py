"""The objective of the stochastic restorer: Eq. 7 of its paper, for one restoration of each image or for several."""

from __future__ import annotations

from typing import Dict, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

from rethink_fr.losses.adversarial import nonsaturating_generator_loss
from rethink_fr.losses.perceptual_terms import PerceptualTerms
from rethink_fr.losses.posterior_score import PosteriorScore
from rethink_fr.losses.reconstruction import l1_loss


class Restored(NamedTuple):
    """What the restorer made of the images of one step."""

    draws: Sequence[tf.Tensor]  # restorations of the same images with different noise, [B, R, R, 3] each
    deterministic: Optional[tf.Tensor]  # the restoration with noise 0, if it is trained
    commitment_loss: tf.Tensor


class RestorerObjective:
    """The loss of the restorer: L = alpha L_ADV + L_1 + L_percep + L_VQ.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Eq. 7. With a posterior score, which is not in the
    paper, L_1 is replaced by this score of several restorations of each image and L_1 of the one with noise 0.

    Args:
        weights: of the terms "adversarial" (alpha), "l1" or "posterior" and "deterministic", and "commitment". Those of
            the perceptual terms are in these.
        score: of several restorations; None for the paper's L_1 of one.
        perceptual: the perceptual terms; None leaves them out.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        score: Optional[PosteriorScore] = None,
        perceptual: Optional[PerceptualTerms] = None,
    ) -> None:
        needed = ["posterior" if score is not None else "l1"]
        # A term of weight 0 is not computed, but for the commitment loss, which the network computes anyway.
        optional = [name for name in ("adversarial", "deterministic") if weights.get(name)]
        self.weights = {name: weights[name] for name in ("commitment", *optional, *needed)}
        if perceptual is not None:
            self.weights.update(perceptual.weights)
        self.score = score
        self.perceptual = perceptual

    @property
    def adversarial(self) -> bool:
        """Whether the loss has an adversarial term. Without it nothing needs the discriminator."""
        return "adversarial" in self.weights

    @property
    def draws(self) -> int:
        """How many restorations of each image the loss needs."""
        return 1 if self.score is None else self.score.draws

    def __call__(
        self, clean: tf.Tensor, restored: Restored, fake_logits: Optional[tf.Tensor] = None
    ) -> Dict[str, tf.Tensor]:
        """The unweighted terms by name, each a scalar: the mean over this replica's images.

        Args:
            clean: `[B, R, R, 3]`.
            restored: what the restorer made of their degraded images.
            fake_logits: of the discriminator, `[B, 1]`; needed if there is an adversarial term.
        """
        terms = {"commitment": restored.commitment_loss}
        if self.adversarial:
            terms["adversarial"] = nonsaturating_generator_loss(fake_logits)
        if self.score is None:
            terms["l1"] = l1_loss(clean, restored.draws[0])
        else:
            terms["posterior"] = self.score(clean, restored.draws)
        if restored.deterministic is not None:
            terms["deterministic"] = l1_loss(clean, restored.deterministic)
        if self.perceptual is not None:
            terms.update(self.perceptual(clean, restored.draws))
        return terms

    def total(self, terms: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum of the terms."""
        return tf.add_n([self.weights[name] * term for name, term in terms.items()])
