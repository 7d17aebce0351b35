"""How the stochastic restorer is trained: its objective, its two turns, and both made from a configuration."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.addons import extra_optimizer
from rethink_fr.config.checks import ConfigError
from rethink_fr.layers.diff_augment import apply_augmentation, augmentation_draws
from rethink_fr.layers.minibatch_stddev import parts_that_keep_groups
from rethink_fr.layers.parts import in_parts
from rethink_fr.layers.variables import create_variables
from rethink_fr.losses.adversarial import lazy_r1, logistic_discriminator_loss
from rethink_fr.losses.feature_network import FeatureNetwork, load_feature_network
from rethink_fr.losses.objective import Restored, RestorerObjective
from rethink_fr.losses.perceptual_terms import PerceptualTerms
from rethink_fr.losses.posterior import BANDS
from rethink_fr.losses.posterior_score import PosteriorScore
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Restorer
from rethink_fr.restorer.settings import ExperimentConfig, ObjectiveConfig, OptimizerConfig
from rethink_fr.system import StepContext, Turn, TurnLoss

_NOISE, _AUGMENT_GENERATOR, _AUGMENT_REAL, _AUGMENT_FAKE = range(4)  # purposes of random numbers
_CALIBRATION_STEPS = 100

Batch = Mapping[str, tf.Tensor]


class _Judgement(NamedTuple):
    """The discriminator's loss and what is logged of it, scalars: means over images."""

    logistic: tf.Tensor
    penalty: Optional[tf.Tensor]  # None without R1
    real: tf.Tensor  # mean logit
    fake: tf.Tensor


class RestorerTask:
    """Trains a restorer against a discriminator; a `TrainingTask`.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), section 3. A step updates the codebooks with the clean
    images, then the restorer, then the discriminator with the images that the restorer made before its update.

    Args:
        restorer, discriminator: the networks, their variables created.
        objective: the loss of the restorer.
        restorer_optimizer, discriminator_optimizer: an optimizer for each network.
        augment: policy of `diff_augment` for all that the discriminator sees; "" for none.
        conditional: whether the discriminator sees the degraded image beside the other one. Not in the paper.
        r1_gamma: weight of the discriminator's R1 penalty; 0 for none.
        r1_interval: the penalty is computed at one step in so many.
        parts: the images of this replica pass through the networks in so many parts, see `in_parts`.
        judged_parts: the same for the discriminator, whose minibatch deviation's groups must not be split.
    """

    reconstructs = False

    def __init__(
        self,
        restorer: Restorer,
        discriminator: Discriminator,
        objective: RestorerObjective,
        restorer_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        augment: str = "color,translation",
        conditional: bool = False,
        r1_gamma: float = 0.0,
        r1_interval: int = 16,
        parts: int = 1,
        judged_parts: int = 1,
    ) -> None:
        self.generator = self.restorer = restorer
        self.discriminator = discriminator
        self.objective = objective
        self.augment = augment
        self.conditional = conditional
        self.r1_gamma = r1_gamma
        self.r1_interval = r1_interval
        self.parts = parts
        self.judged_parts = judged_parts
        # The perceptual terms are relative to what is measured before this step.
        self.boundaries: Tuple[int, ...] = (_CALIBRATION_STEPS,) if objective.perceptual else ()
        scores = {} if objective.score is None else {"posterior_score": objective.score}
        terms = {} if objective.perceptual is None else objective.perceptual.relative
        relative = {f"relative_{name}": term for name, term in terms.items()}
        self.perceptual: Optional[tf.Module] = objective.perceptual
        self.saved: Mapping[str, Any] = {"restorer": restorer, "discriminator": discriminator, **scores, **relative}
        self.optimizers: Mapping[str, keras.optimizers.Optimizer] = {
            "restorer": restorer_optimizer,
            "discriminator": discriminator_optimizer,
        }

    def update_state(self, batch: Batch, context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Update the codebooks with the features of the clean images; at first also measure the perceptual terms."""
        if self.objective.perceptual is not None and step < _CALIBRATION_STEPS:
            self.objective.perceptual.calibrate(batch["clean"], batch["degraded"])
        scalars = {}
        for side, usage in zip(
            self.restorer.skip_resolutions, self.restorer.update_codebooks(batch["clean"], self.parts)
        ):
            scalars[f"codebook_{side}/usage"] = usage.usage
            scalars[f"codebook_{side}/perplexity"] = usage.perplexity
        return scalars

    def turns(self, step: int) -> List[Turn]:
        """The restorer, then the discriminator, unless the adversarial term has the weight 0."""
        restorer = Turn("restorer", {"restorer": self.restorer.trainable_variables}, self._restorer_loss)
        discriminator = self.discriminator.trainable_variables
        if not self.objective.adversarial:
            return [restorer]
        return [restorer, Turn("discriminator", {"discriminator": discriminator}, self._discriminator_loss)]

    def after_step(self, step: int) -> None:
        """Nothing to do outside the graph."""

    def averaged(self, network: Restorer) -> List[tf.Variable]:
        """The trained weights, and the codebooks, which belong to them.

        A codebook that is copied belongs to the live encoder, ahead of the averaged one by as many steps as the average
        looks back.
        """
        return [*network.trainable_variables, *network.codebooks]

    def draw_noise(self, share: tf.Tensor, context: StepContext) -> tf.Tensor:
        """The restorer's noise for the `share` images of this replica, `[share, draws, *noise_shape]`."""
        shape = [context.global_batch(share), self.objective.draws, *self.restorer.noise_shape]
        return context.of_this_replica(tf.random.stateless_normal(shape, context.random_seed(_NOISE)), share)

    def _restorer_loss(self, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        clean, degraded = batch["clean"], batch["degraded"]
        noise = self.draw_noise(tf.shape(clean)[0], context)
        restored = in_parts(self._restore, self.parts, degraded, noise)
        scalars = self._follow_spread(clean, restored.draws)
        # All draws are alike: the first one stands for them, and the discriminator's work does not grow with P.
        shown = restored.draws[0]
        fake_logits = None
        if self.objective.adversarial:
            draws = self._augmentation(_AUGMENT_GENERATOR, shown, context)
            fake_logits = in_parts(self._judge, self.judged_parts, shown, degraded, draws)
        terms = self.objective(clean, restored, fake_logits)
        total = self.objective.total(terms)
        scalars.update({"loss/restorer": total, **{f"loss/{name}": term for name, term in terms.items()}})
        return TurnLoss(total, scalars, {"restored": shown})

    def _follow_spread(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> Dict[str, tf.Tensor]:
        """Adapt the reward for differing, if it is to be; returns what is logged of it."""
        score, names = self.objective.score, ("all", *BANDS)
        if score is None:
            return {}
        excess = score.excess(clean, draws)
        scalars = {f"spread/excess_{name}": value for name, value in zip(names, tf.unstack(excess))}
        if score.adaptation:
            score.adapt(excess)
            factors = tf.unstack(tf.convert_to_tensor(score.factors))
            scalars.update({f"spread/factor_{name}": value for name, value in zip(names, factors)})
        return scalars

    def _restore(self, degraded: tf.Tensor, noise: tf.Tensor) -> Restored:
        """Restore the same images once with each draw of noise, `[B, draws, *noise_shape]`, and with noise 0."""
        encoded = self.restorer.encode(degraded)
        draws = [self.restorer.decode(encoded, one).image for one in tf.unstack(noise, axis=1)]
        wanted = "deterministic" in self.objective.weights
        deterministic = self.restorer.decode(encoded).image if wanted else None
        return Restored(draws, deterministic, encoded.commitment_loss)

    def _discriminator_loss(self, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        def judge(*images_and_draws: tf.Tensor) -> _Judgement:
            return self._judge_both(context.step, *images_and_draws)

        clean, restored = batch["clean"], made["restored"]
        draws = [self._augmentation(purpose, clean, context) for purpose in (_AUGMENT_REAL, _AUGMENT_FAKE)]
        judgement = in_parts(judge, self.judged_parts, clean, restored, batch["degraded"], *draws)
        loss = judgement.logistic
        scalars = {"loss/discriminator": judgement.logistic}  # without the penalty, which is 0 at most steps
        if judgement.penalty is not None:
            loss += judgement.penalty
            scalars["loss/r1"] = judgement.penalty
        return TurnLoss(loss, {**scalars, "score/real": judgement.real, "score/fake": judgement.fake})

    def _judge_both(
        self,
        step: tf.Tensor,
        clean: tf.Tensor,
        restored: tf.Tensor,
        degraded: tf.Tensor,
        real_draws: tf.Tensor,
        fake_draws: tf.Tensor,
    ) -> _Judgement:
        real_logits = self._judge(clean, degraded, real_draws)
        fake_logits = self._judge(restored, degraded, fake_draws)
        logistic_loss = logistic_discriminator_loss(real_logits, fake_logits)
        penalty = None
        if self.r1_gamma:

            def discriminate(images: tf.Tensor) -> tf.Tensor:
                return self.discriminator(tf.concat([images, degraded], -1) if self.conditional else images)

            penalty = lazy_r1(discriminate, clean, step, self.r1_gamma, self.r1_interval)
        return _Judgement(logistic_loss, penalty, tf.reduce_mean(real_logits), tf.reduce_mean(fake_logits))

    @staticmethod
    def _augmentation(purpose: int, images: tf.Tensor, context: StepContext) -> tf.Tensor:
        """The draws of the augmentation for the images of this replica."""
        share = tf.shape(images)[0]
        draws = augmentation_draws(context.global_batch(share), context.random_seed(purpose))
        return context.of_this_replica(draws, share)

    def _judge(self, images: tf.Tensor, degraded: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """The discriminator's logits for the augmented images, and beside them, augmented alike, the degraded ones."""
        seen = apply_augmentation(images, draws, self.augment)
        if self.conditional:
            seen = tf.concat([seen, apply_augmentation(degraded, draws, self.augment)], axis=-1)
        return self.discriminator(seen)


def build_task(config: ExperimentConfig, restorer: Restorer) -> RestorerTask:
    """Make what a run trains from its configuration. Call it inside the strategy's scope.

    Args:
        config: of the run.
        restorer: the network of `config.model`, its variables created.

    Raises:
        ConfigError: if the weights of VGG-19 cannot be loaded.
    """
    model, objective = config.model, config.objective
    discriminator = Discriminator(model.resolution, model.width, channels=6 if objective.conditional else 3)
    create_variables(discriminator)
    parts = config.training.accumulate
    share = config.training.global_batch // tf.distribute.get_strategy().num_replicas_in_sync
    return RestorerTask(
        restorer,
        discriminator,
        build_objective(objective, model.resolution, parts),
        build_optimizer(config.optimizer),
        build_optimizer(config.optimizer),
        augment=objective.augment,
        conditional=objective.conditional,
        r1_gamma=objective.r1_gamma,
        r1_interval=objective.r1_interval,
        parts=parts,
        judged_parts=parts_that_keep_groups(share, parts),
    )


def build_objective(settings: ObjectiveConfig, resolution: int, parts: int = 1) -> RestorerObjective:
    """Make the objective for images of this resolution, whose perceptual terms are computed in `parts`.

    Call it inside the strategy's scope.

    Raises:
        ConfigError: if the network of the perceptual terms cannot be loaded.
    """
    weights = {name: getattr(settings, name) for name in ("adversarial", "l1", "commitment")}
    posterior, score, perceptual = settings.posterior, None, None
    if posterior.score != "none":
        weights.update(posterior=posterior.weight, deterministic=posterior.deterministic)
        score = PosteriorScore(
            posterior.score,
            posterior.draws,
            posterior.bands,
            posterior.spread,
            posterior.adaptation,
            posterior.chroma,
        )
    network = load_perceptual(settings.perceptual)
    if network is not None:
        terms = {"feature": settings.feature, "style": settings.style}
        perceptual = PerceptualTerms(network, terms, resolution, several=score is not None, parts=parts)
    return RestorerObjective(weights, score, perceptual)


def build_optimizer(optimizer: OptimizerConfig) -> keras.optimizers.Optimizer:
    """Make the optimizer that is named, with a constant learning rate or one that falls to 0 along half a cosine.

    The cosine is that of Loshchilov and Hutter 2017 (arXiv:1608.03983), Eq. 5, without restarts.
    """
    learning_rate = optimizer.learning_rate
    if optimizer.decay_steps:
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, optimizer.decay_steps)
    if optimizer.name == "sgd":
        return keras.optimizers.SGD(learning_rate, jit_compile=False)
    if optimizer.name != "adam":
        return extra_optimizer(optimizer.name, learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    return keras.optimizers.Adam(
        learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, jit_compile=optimizer.jit_compile
    )


def load_perceptual(source: str) -> Optional[FeatureNetwork]:
    """Load the network of the perceptual terms, `objective.perceptual`; None for "none".

    Raises:
        ConfigError: if it cannot be loaded. Its weights are never replaced by random ones.
    """
    if source == "none":
        return None
    try:
        return load_feature_network(source)
    except ValueError as error:
        raise ConfigError(
            f"objective.perceptual: {error}; or train without the perceptual terms by --set objective.perceptual=none "
            "--set objective.adversarial=0.05"
        ) from None
