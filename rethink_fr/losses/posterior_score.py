"""The loss of several restorations over an image and its bands, and how its reward for differing adapts."""

from __future__ import annotations

from typing import List, Literal, Sequence, Tuple

import tensorflow as tf

from rethink_fr.losses.posterior import (
    BANDS,
    amplify_chroma,
    bands,
    energy_score,
    excess_ratio,
    regularized_l1,
    squared_errors,
)

_LARGEST_SPREAD = 4.0  # an adapted factor that would go beyond means that the network cannot follow


class PosteriorScore(tf.Module):
    """A score of P restorations of each image: of the whole image, plus the weighted scores of its three bands.

    Scores of bands are not in any paper that we know. A score of pixels alone is met by spread in the wrong place: a
    whole image that is too red counts as much there as detail that is unknown.

    The factor on the reward for differing is one for the whole image and one for each band. Bendel et al. 2023
    (arXiv:2210.13389) move theirs until the errors of one draw and of the mean of P relate as the theory says, on
    validation images after each epoch. Our reading: each by itself, in every step, from the errors on the training
    batch. So every replica and every continued run has the same factors, and no second set of faces is needed.

    Args:
        score: "energy" or "rcgan"; see `energy_score` and `regularized_l1`.
        draws: P, 2 or more.
        weights: of the bands, fine to coarse; the whole image has the weight 1.
        spread: the factors at the start; 1 is what the theory asks for.
        adaptation: how far a factor moves a step, for each 1 by which its error ratio is off; 0 leaves it fixed.
        chroma: factor on colour before distances are taken, see `amplify_chroma`.
    """

    def __init__(
        self,
        score: Literal["energy", "rcgan"] = "energy",
        draws: int = 2,
        weights: Tuple[float, float, float] = (1.0, 1.0, 1.0),
        spread: float = 1.0,
        adaptation: float = 0.0,
        chroma: float = 1.0,
    ) -> None:
        super().__init__(name="posterior_score")
        self.draws = draws
        self.adaptation = adaptation
        self._score = energy_score if score == "energy" else regularized_l1
        self._weights = weights
        self._chroma = chroma
        self.factors = tf.Variable(
            tf.fill([1 + len(BANDS)], spread),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="factors",
        )

    def __call__(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> tf.Tensor:
        """The score of P draws of images `[B, H, W, 3]`, a scalar. H and W must be multiples of 4."""
        clean, *draws = [amplify_chroma(images, self._chroma) for images in (clean, *draws)]
        factors = tf.unstack(tf.convert_to_tensor(self.factors))
        terms = [self._score(clean, draws, factors[0])]
        for weight, target, drawn, factor in zip(self._weights, bands(clean), _by_band(draws), factors[1:]):
            if weight:
                terms.append(weight * self._score(target, drawn, factor))
        return tf.add_n(terms)

    def excess(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> tf.Tensor:
        """How far the error ratios of the whole image and of its bands are above the theory's, `[4]`, without gradient.

        The errors are those of the global batch. Call it in replica context.
        """
        parts = [(clean, list(draws)), *zip(bands(clean), _by_band(draws))]
        errors = tf.stop_gradient(tf.stack([squared_errors(target, drawn) for target, drawn in parts]))
        replica = tf.distribute.get_replica_context()
        return excess_ratio(replica.all_reduce(tf.distribute.ReduceOp.MEAN, errors), len(draws))

    def adapt(self, excess: tf.Tensor) -> None:
        """Move the factors against what `excess` returned; one step counts as 1 at most.

        A ratio that is too high means that the draws differ too much.
        """
        moved = self.factors - self.adaptation * tf.clip_by_value(excess, -1.0, 1.0)
        self.factors.assign(tf.clip_by_value(moved, 0.0, _LARGEST_SPREAD))


def _by_band(draws: Sequence[tf.Tensor]) -> List[List[tf.Tensor]]:
    """For each band that band of every draw."""
    return [list(drawn) for drawn in zip(*(bands(draw) for draw in draws))]
