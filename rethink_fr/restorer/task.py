"""Training of the stochastic restorer: codebooks, then restorer, then discriminator."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.diff_augment import apply_augmentation, augmentation_draws
from rethink_fr.losses.adversarial import lazy_r1, logistic_discriminator_loss
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Restorer
from rethink_fr.restorer.objective import RestorerObjective
from rethink_fr.system import StepContext, Turn, TurnLoss

_NOISE, _AUGMENT_GENERATOR, _AUGMENT_REAL, _AUGMENT_FAKE = range(4)  # purposes of random draws

Batch = Mapping[str, tf.Tensor]


class RestorerTask:
    """A `TrainingTask`: a restorer against a discriminator ("Rethinking Deep Face Restoration", section 3).

    Args:
        restorer, discriminator: the networks, built.
        objective: the restorer's loss terms.
        restorer_optimizer, discriminator_optimizer: one for each network.
        augment: DiffAugment policy.
        r1_gamma, r1_interval: weight of the R1 penalty (0 turns it off) and steps between two applications.
    """

    boundaries: Tuple[int, ...] = ()
    reconstructs = False

    def __init__(
        self,
        restorer: Restorer,
        discriminator: Discriminator,
        objective: RestorerObjective,
        restorer_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        augment: str = "color,translation",
        r1_gamma: float = 0.0,
        r1_interval: int = 16,
    ) -> None:
        self.generator = self.restorer = restorer
        self.discriminator = discriminator
        self.objective = objective
        self.augment = augment
        self.r1_gamma = r1_gamma
        self.r1_interval = r1_interval
        self.saved: Mapping[str, Any] = {"restorer": restorer, "discriminator": discriminator}
        self.optimizers: Mapping[str, keras.optimizers.Optimizer] = {
            "restorer": restorer_optimizer,
            "discriminator": discriminator_optimizer,
        }

    def scalar_names(self, step: int) -> List[str]:
        """The same at every step."""
        names = ["loss/restorer", *(f"loss/{name}" for name in self.objective.weights), "loss/discriminator"]
        names += ["loss/r1"] if self.r1_gamma else []
        names += ["score/real", "score/fake"]
        quantizers = [block.quantizer for block in self.restorer.skip_blocks]
        for side, quantizer in zip(self.restorer.skip_resolutions, quantizers):
            if quantizer is not None:
                names += [f"codebook_{side}/usage", f"codebook_{side}/perplexity"]
        return names

    def update_state(self, batch: Batch, context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Codebooks from the clean images."""
        scalars = {}
        for side, usage in zip(self.restorer.skip_resolutions, self.restorer.update_codebooks(batch["clean"])):
            scalars[f"codebook_{side}/usage"] = usage.usage
            scalars[f"codebook_{side}/perplexity"] = usage.perplexity
        return scalars

    def turns(self, step: int) -> List[Turn]:
        """Restorer, then discriminator on what it made."""
        return [
            Turn("restorer", {"restorer": self.restorer.trainable_variables}, self._restorer_loss),
            Turn("discriminator", {"discriminator": self.discriminator.trainable_variables}, self._discriminator_loss),
        ]

    def after_step(self, step: int) -> None:
        """Nothing happens outside the graph."""

    def draw_noise(self, share: tf.Tensor, context: StepContext) -> tf.Tensor:
        """The noise of this replica's `share` of the batch."""
        shape = [context.global_batch(share), *self.restorer.noise_shape]
        return context.of_this_replica(tf.random.stateless_normal(shape, context.random_seed(_NOISE)), share)

    def _restorer_loss(self, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        clean = batch["clean"]
        restoration = self.restorer(batch["degraded"], self.draw_noise(tf.shape(clean)[0], context))
        fake_logits = self.discriminator(self._augmented(restoration.image, _AUGMENT_GENERATOR, context))
        terms = self.objective(clean, restoration, fake_logits)
        scalars = {f"loss/{name}": term for name, term in terms.items()}
        return TurnLoss(self.objective.total(terms), scalars, {"restored": restoration.image})

    def _discriminator_loss(self, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        clean = batch["clean"]
        real_logits = self.discriminator(self._augmented(clean, _AUGMENT_REAL, context))
        fake_logits = self.discriminator(self._augmented(made["restored"], _AUGMENT_FAKE, context))
        loss = logistic_loss = logistic_discriminator_loss(real_logits, fake_logits)
        scalars = {"loss/discriminator": logistic_loss}  # without the penalty, which is 0 at most steps
        if self.r1_gamma:
            penalty = lazy_r1(self.discriminator, clean, context.step, self.r1_gamma, self.r1_interval)
            loss += penalty
            scalars["loss/r1"] = penalty
        scalars["score/real"] = tf.reduce_mean(real_logits)
        scalars["score/fake"] = tf.reduce_mean(fake_logits)
        return TurnLoss(loss, scalars)

    def _augmented(self, images: tf.Tensor, purpose: int, context: StepContext) -> tf.Tensor:
        share = tf.shape(images)[0]
        draws = augmentation_draws(context.global_batch(share), context.random_seed(purpose))
        return apply_augmentation(images, context.of_this_replica(draws, share), self.augment)
