"""The training step: restorer, discriminator, codebooks and average, on one replica's share of the batch."""

from __future__ import annotations

from typing import Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.adversarial import logistic_discriminator_loss, r1_penalty
from rethink_fr.models import Discriminator, Restorer
from rethink_fr.training.average import update_average
from rethink_fr.training.diff_augment import apply_augmentation, augmentation_draws
from rethink_fr.training.objective import RestorerObjective

_NOISE, _AUGMENT_GENERATOR, _AUGMENT_REAL, _AUGMENT_FAKE = range(4)  # purposes of random draws


class AdversarialTrainer(keras.Model):
    """Trains a restorer against a discriminator; drive it with `compile` and `fit`.

    Batches are `{"degraded": [b, R, R, 3], "clean": [b, R, R, 3]}`, float32 in [-1, 1], each replica getting an equal
    share of the global batch. All random numbers follow from `seed` and `step`, and belong to places in the global
    batch: any number of replicas, and a run that was interrupted, see the same ones.

    Args:
        restorer, discriminator: the networks, built.
        average: a restorer from `build_averaged`.
        objective: the restorer's loss terms.
        augment: DiffAugment policy.
        r1_gamma, r1_interval: weight of the R1 penalty (0 turns it off) and steps between two applications.
        average_decay: of the generator's average.
        seed: of noise and augmentation.
    """

    def __init__(
        self,
        restorer: Restorer,
        discriminator: Discriminator,
        average: Restorer,
        objective: RestorerObjective,
        augment: str = "color,translation",
        r1_gamma: float = 0.0,
        r1_interval: int = 16,
        average_decay: float = 0.999,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.discriminator = discriminator
        self.average = average
        self.objective = objective
        self.augment = augment
        self.r1_gamma = r1_gamma
        self.r1_interval = r1_interval
        self.average_decay = average_decay
        self.seed = seed
        self.step = tf.Variable(
            0, trainable=False, dtype=tf.int64, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        # Mean metrics give the same result on every replica; by default Keras would add them up over workers.
        self.distribute_reduction_method = "first"
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self._scalar_names()}

    def compile(
        self,
        restorer_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        **kwargs,
    ) -> None:
        """Take the two optimizers and build their variables (call it inside the strategy's scope)."""
        super().compile(**kwargs)
        self.restorer_optimizer = restorer_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        restorer_optimizer.build(self.restorer.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.trackers.values())

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Codebooks from the clean images, then one restorer update, one discriminator update, one of the average."""
        degraded, clean = batch["degraded"], batch["clean"]
        scalars = {}

        for side, usage in zip(self.restorer.skip_resolutions, self.restorer.update_codebooks(clean)):
            scalars[f"codebook_{side}/usage"] = usage.usage
            scalars[f"codebook_{side}/perplexity"] = usage.perplexity

        noise = self._draw_noise(tf.shape(clean)[0])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.restorer.trainable_variables)
            restoration = self.restorer(degraded, noise)
            fake_logits = self.discriminator(self._augmented(restoration.image, _AUGMENT_GENERATOR))
            terms = self.objective(clean, restoration, fake_logits)
            loss = self.objective.total(terms)
        scalars.update({f"loss/{name}": term for name, term in terms.items()}, **{"loss/restorer": loss})
        scalars["gradient_norm/restorer"] = self._apply(tape, loss, self.restorer, self.restorer_optimizer)

        fake = tf.stop_gradient(restoration.image)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.discriminator.trainable_variables)
            real_logits = self.discriminator(self._augmented(clean, _AUGMENT_REAL))
            fake_logits = self.discriminator(self._augmented(fake, _AUGMENT_FAKE))
            logistic_loss = logistic_discriminator_loss(real_logits, fake_logits)
            loss = logistic_loss
            if self.r1_gamma:
                penalty = self._lazy_r1(clean)
                loss += penalty
                scalars["loss/r1"] = penalty
        scalars["loss/discriminator"] = logistic_loss
        scalars["score/real"] = tf.reduce_mean(real_logits)
        scalars["score/fake"] = tf.reduce_mean(fake_logits)
        scalars["gradient_norm/discriminator"] = self._apply(
            tape, loss, self.discriminator, self.discriminator_optimizer
        )

        scalars["learning_rate"] = self.restorer_optimizer.learning_rate
        update_average(self.average, self.restorer, self.step, self.average_decay)
        self.step.assign_add(1)
        for name, value in scalars.items():
            self.trackers[name].update_state(value)
        # Results of Mean metrics: raw tensors would be summed over replicas in the logs.
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _apply(
        self, tape: tf.GradientTape, loss: tf.Tensor, network: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> tf.Tensor:
        """One optimizer step with the gradient of the global batch's mean loss; returns that gradient's norm."""
        replica = tf.distribute.get_replica_context()
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        # Replicas hold equal shares: the mean over the global batch is the mean of their means.
        gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)
        return tf.linalg.global_norm(gradients)

    def _lazy_r1(self, clean: tf.Tensor) -> tf.Tensor:
        """gamma / 2 * interval * R1 on every `r1_interval`-th step, else 0 (Karras et al. 2020, section 4.1)."""
        # The loss stands in the cond, not the optimizer: apply_gradients may not.
        penalty = tf.cond(
            self.step % self.r1_interval == 0, lambda: r1_penalty(self.discriminator, clean), lambda: tf.zeros([])
        )
        return 0.5 * self.r1_gamma * self.r1_interval * penalty

    def _augmented(self, images: tf.Tensor, purpose: int) -> tf.Tensor:
        share = tf.shape(images)[0]
        replica = tf.distribute.get_replica_context()
        draws = augmentation_draws(share * replica.num_replicas_in_sync, self._random_seed(purpose))
        return apply_augmentation(images, self._this_replicas(draws, share), self.augment)

    def _draw_noise(self, share: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        shape = [share * replica.num_replicas_in_sync, *self.restorer.noise_shape]
        return self._this_replicas(tf.random.stateless_normal(shape, self._random_seed(_NOISE)), share)

    def _random_seed(self, purpose: int) -> tf.Tensor:
        return tf.stack([tf.constant(self.seed, tf.int64), self.step * 4 + purpose])

    @staticmethod
    def _this_replicas(draws: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """Rows of this replica out of draws made for the global batch."""
        first = share * tf.distribute.get_replica_context().replica_id_in_sync_group
        return draws[first : first + share]

    def _scalar_names(self) -> Tuple[str, ...]:
        names = ["loss/restorer", *(f"loss/{name}" for name in self.objective.weights), "loss/discriminator"]
        if self.r1_gamma:
            names.append("loss/r1")
        names += ["score/real", "score/fake", "gradient_norm/restorer", "gradient_norm/discriminator", "learning_rate"]
        quantizers = [block.quantizer for block in self.restorer.skip_blocks]
        for side, quantizer in zip(self.restorer.skip_resolutions, quantizers):
            if quantizer is not None:
                names += [f"codebook_{side}/usage", f"codebook_{side}/perplexity"]
        return tuple(names)
