"""What the stochastic restorer is trained to make small: Eq. 7 of its paper, and scores of several restorations."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

from rethink_fr.losses.adversarial import nonsaturating_generator_loss
from rethink_fr.losses.feature_network import FeatureNetwork
from rethink_fr.losses.lpips import unit_vectors
from rethink_fr.losses.perceptual import RelativeTerm, feature_differences, gram_matrix, style_differences
from rethink_fr.losses.posterior import (
    BANDS,
    bands,
    energy_score,
    excess_ratio,
    frobenius_norm,
    regularized_l1,
    squared_errors,
)
from rethink_fr.losses.reconstruction import l1_loss
from rethink_fr.restorer.settings import ObjectiveConfig, PosteriorConfig

_LARGEST_SPREAD = 4.0  # an adapted factor that would go beyond means that the network cannot follow


class Restored(NamedTuple):
    """What the restorer made of the images of one step."""

    draws: Sequence[tf.Tensor]  # restorations of the same images with different noise, [B, R, R, 3] each
    deterministic: Optional[tf.Tensor]  # the restoration with noise 0, if it is trained
    commitment_loss: tf.Tensor


class Spread(tf.Module):
    """The factors on the reward for differing, one for the whole image and one for each band, and how they adapt.

    Bendel et al. 2023 (arXiv:2210.13389) move the weight of their reward until the error of one draw and
    that of the mean of P relate as the theory says, on validation images after each epoch. Our reading: for each band
    by itself, in every step, from the errors on the training batch. So every replica and every continued run has the
    same factors, and no second set of faces is needed.

    Args:
        settings: of the posterior.
    """

    def __init__(self, settings: PosteriorConfig) -> None:
        super().__init__(name="spread")
        self.adaptation = settings.adaptation
        self.factors = tf.Variable(
            tf.fill([1 + len(BANDS)], settings.spread),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="factors",
        )

    def adapt(self, excess: tf.Tensor) -> None:
        """Move the factors against `excess`, `[4]`: how far each error ratio is above the theory's.

        A ratio that is too high means that the draws differ too much. One step counts as 1 at most.
        """
        excess = tf.clip_by_value(excess, -1.0, 1.0)
        self.factors.assign(tf.clip_by_value(self.factors - self.adaptation * excess, 0.0, _LARGEST_SPREAD))


class RestorerObjective(tf.Module):
    """The loss of the restorer: L = alpha L_ADV + L_1 + L_percep + L_VQ.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Eq. 7. With `objective.posterior`, which is not in the
    paper, L_1 becomes a score of several restorations of the same image, and the perceptual terms become energy scores
    of their features: see `rethink_fr.losses.posterior`.

    Args:
        settings: the weights.
        network: whose features the perceptual terms compare; None leaves them out.
        resolution: of the images, in pixels.
    """

    def __init__(self, settings: ObjectiveConfig, network: Optional[FeatureNetwork], resolution: int) -> None:
        super().__init__(name="objective")
        self.settings = settings
        self.network = network
        self.relative: Dict[str, RelativeTerm] = {}
        posterior = settings.posterior
        self.scores_draws = posterior.score != "none"
        self.spread = Spread(posterior)
        self.weights = {"commitment": settings.commitment}
        if settings.adversarial:
            self.weights["adversarial"] = settings.adversarial
        if self.scores_draws:
            self.weights["posterior"] = posterior.weight
            if posterior.deterministic:
                self.weights["deterministic"] = posterior.deterministic
        else:
            self.weights["l1"] = settings.l1
        if network is not None:
            maps = len(network(tf.zeros([1, resolution, resolution, 3])))
            for name in ("feature", "style"):
                if getattr(settings, name):
                    self.weights[name] = getattr(settings, name)
                    self.relative[name] = RelativeTerm(maps)

    @property
    def draws(self) -> int:
        """How many restorations of each image the loss needs."""
        return self.settings.posterior.draws if self.scores_draws else 1

    def calibrate(self, clean: tf.Tensor, degraded: tf.Tensor) -> None:
        """Measure the perceptual terms of degraded images, which they are relative to. Call it in the first steps."""
        assert self.network is not None
        wanted, given = self.network(clean), self.network(degraded)
        for name, distances in self._perceptual(wanted, [given]).items():
            self.relative[name].measure(distances)

    @property
    def adversarial(self) -> bool:
        """Whether the loss has an adversarial term. Without it nothing needs the discriminator."""
        return "adversarial" in self.weights

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
        if self.scores_draws:
            terms["posterior"] = self._score(clean, restored.draws)
            if restored.deterministic is not None:
                terms["deterministic"] = l1_loss(clean, restored.deterministic)
        else:
            terms["l1"] = l1_loss(clean, restored.draws[0])
        if self.network is not None:
            found = [self.network(draw) for draw in restored.draws]
            for name, distances in self._perceptual(self.network(clean), found).items():
                terms[name] = self.relative[name].of(distances)
        return terms

    def total(self, terms: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum of the terms."""
        return tf.add_n([self.weights[name] * term for name, term in terms.items()])

    def excess(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> tf.Tensor:
        """How far the error ratios of the whole image and of its bands are above the theory's, `[4]`, without gradient.

        The errors are those of the global batch. Call it in replica context.
        """
        parts = [(clean, list(draws)), *zip(bands(clean), _by_band(draws))]
        errors = tf.stop_gradient(tf.stack([squared_errors(target, drawn) for target, drawn in parts]))
        replica = tf.distribute.get_replica_context()
        return excess_ratio(replica.all_reduce(tf.distribute.ReduceOp.MEAN, errors), len(draws))

    def _score(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> tf.Tensor:
        """The score of whole images and of their bands, relative to the former's weight of 1."""
        posterior = self.settings.posterior
        score = energy_score if posterior.score == "energy" else regularized_l1
        factors = tf.unstack(tf.convert_to_tensor(self.spread.factors))
        terms = [score(clean, draws, factors[0])]
        for weight, target, drawn, factor in zip(posterior.bands, bands(clean), _by_band(draws), factors[1:]):
            if weight:
                terms.append(weight * score(target, drawn, factor))
        return tf.add_n(terms)

    def _perceptual(
        self, wanted: Sequence[tf.Tensor], found: Sequence[Sequence[tf.Tensor]]
    ) -> Dict[str, List[tf.Tensor]]:
        """The distances of both terms for each feature map: of the paper for one restoration, scores for several."""
        maps = [[one[number] for one in found] for number in range(len(wanted))]
        terms: Dict[str, List[tf.Tensor]] = {}
        if self.settings.feature:
            if self.scores_draws:
                units = [
                    (unit_vectors(clean), [unit_vectors(one) for one in drawn]) for clean, drawn in zip(wanted, maps)
                ]
                terms["feature"] = [energy_score(clean, drawn) for clean, drawn in units]
            else:
                terms["feature"] = feature_differences(wanted, found[0])
        if self.settings.style:
            if self.scores_draws:
                grams = [
                    (gram_matrix(clean), [gram_matrix(one) for one in drawn]) for clean, drawn in zip(wanted, maps)
                ]
                terms["style"] = [energy_score(clean, drawn, distance=frobenius_norm) for clean, drawn in grams]
            else:
                terms["style"] = style_differences(wanted, found[0])
        return terms


def _by_band(draws: Sequence[tf.Tensor]) -> List[List[tf.Tensor]]:
    """For each band that band of every draw."""
    return [list(drawn) for drawn in zip(*(bands(draw) for draw in draws))]
