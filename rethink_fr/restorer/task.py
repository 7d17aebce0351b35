"""How the stochastic restorer is trained: its objective, its two turns, and both made from a configuration."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.addons import extra_optimizer
from rethink_fr.config.checks import ConfigError
from rethink_fr.layers.diff_augment import apply_augmentation, augmentation_draws
from rethink_fr.layers.variables import create_variables
from rethink_fr.losses.adversarial import lazy_r1, logistic_discriminator_loss, nonsaturating_generator_loss
from rethink_fr.losses.perceptual import feature_loss, preprocess, style_loss, vgg19_features
from rethink_fr.losses.reconstruction import l1_loss
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Restoration, Restorer
from rethink_fr.restorer.settings import ExperimentConfig, OptimizerConfig
from rethink_fr.system import StepContext, Turn, TurnLoss

_NOISE, _AUGMENT_GENERATOR, _AUGMENT_REAL, _AUGMENT_FAKE = range(4)  # purposes of random numbers

Batch = Mapping[str, tf.Tensor]


class RestorerObjective:
    """The loss of the restorer: L = alpha L_ADV + L_1 + L_percep + L_VQ.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Eq. 7.

    Args:
        adversarial: alpha.
        l1: weight of L_1.
        commitment: weight of L_VQ, the commitment loss of the quantized skips.
        vgg: VGG-19 without its top, for the perceptual terms; None leaves them out.
        feature, style: weights of the five layers of VGG-19 in Eqs. 14 and 15.
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
        # The perceptual terms have their weights inside, one for each layer.
        self.weights = {"adversarial": adversarial, "l1": l1, "commitment": commitment}
        if vgg is not None:
            self.weights.update(feature=1.0, style=1.0)
        self.vgg = vgg
        self.feature_weights = feature
        self.style_weights = style

    def __call__(self, clean: tf.Tensor, restoration: Restoration, fake_logits: tf.Tensor) -> Dict[str, tf.Tensor]:
        """The unweighted terms by name, each a scalar: the mean over this replica's images."""
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

    def total(self, terms: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum of the terms."""
        return tf.add_n([self.weights[name] * term for name, term in terms.items()])


class RestorerTask:
    """Trains a restorer against a discriminator; a `TrainingTask`.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), section 3. A step updates the codebooks with the clean
    images, then the restorer, then the discriminator with the images that the restorer made before its update.

    Args:
        restorer, discriminator: the networks, their variables created.
        objective: the loss of the restorer.
        restorer_optimizer, discriminator_optimizer: an optimizer for each network.
        augment: policy of `diff_augment` for all that the discriminator sees; "" for none.
        r1_gamma: weight of the discriminator's R1 penalty; 0 for none.
        r1_interval: the penalty is computed at one step in so many.
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

    def update_state(self, batch: Batch, context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Update the codebooks with the features of the clean images."""
        scalars = {}
        for side, usage in zip(self.restorer.skip_resolutions, self.restorer.update_codebooks(batch["clean"])):
            scalars[f"codebook_{side}/usage"] = usage.usage
            scalars[f"codebook_{side}/perplexity"] = usage.perplexity
        return scalars

    def turns(self, step: int) -> List[Turn]:
        """The restorer, then the discriminator."""
        return [
            Turn("restorer", {"restorer": self.restorer.trainable_variables}, self._restorer_loss),
            Turn("discriminator", {"discriminator": self.discriminator.trainable_variables}, self._discriminator_loss),
        ]

    def after_step(self, step: int) -> None:
        """Nothing to do outside the graph."""

    def draw_noise(self, share: tf.Tensor, context: StepContext) -> tf.Tensor:
        """The restorer's noise for the `share` images of this replica, `[share, *noise_shape]`."""
        shape = [context.global_batch(share), *self.restorer.noise_shape]
        return context.of_this_replica(tf.random.stateless_normal(shape, context.random_seed(_NOISE)), share)

    def _restorer_loss(self, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        clean = batch["clean"]
        restoration = self.restorer(batch["degraded"], self.draw_noise(tf.shape(clean)[0], context))
        fake_logits = self.discriminator(self._augmented(restoration.image, _AUGMENT_GENERATOR, context))
        terms = self.objective(clean, restoration, fake_logits)
        total = self.objective.total(terms)
        scalars = {"loss/restorer": total, **{f"loss/{name}": term for name, term in terms.items()}}
        return TurnLoss(total, scalars, {"restored": restoration.image})

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


def build_task(config: ExperimentConfig, restorer: Restorer) -> RestorerTask:
    """Make what a run trains from its configuration. Call it inside the strategy's scope.

    Args:
        config: of the run.
        restorer: the network of `config.model`, its variables created.

    Raises:
        ConfigError: if the weights of VGG-19 cannot be loaded.
    """
    model, objective = config.model, config.objective
    discriminator = Discriminator(model.resolution, model.width)
    create_variables(discriminator)
    return RestorerTask(
        restorer,
        discriminator,
        RestorerObjective(
            objective.adversarial,
            objective.l1,
            objective.commitment,
            load_vgg19(objective.vgg19),
            objective.feature,
            objective.style,
        ),
        build_optimizer(config.optimizer),
        build_optimizer(config.optimizer),
        augment=objective.augment,
        r1_gamma=objective.r1_gamma,
        r1_interval=objective.r1_interval,
    )


def build_optimizer(optimizer: OptimizerConfig) -> keras.optimizers.Optimizer:
    """Adam, or the optimizer that is named, with a constant learning rate or one that falls to 0 along half a cosine.

    The cosine is that of Loshchilov and Hutter 2017 (arXiv:1608.03983), Eq. 5, without restarts.
    """
    learning_rate = optimizer.learning_rate
    if optimizer.decay_steps:
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, optimizer.decay_steps)
    if optimizer.name != "adam":
        return extra_optimizer(optimizer.name, learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    return keras.optimizers.Adam(learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)


def load_vgg19(weights: str) -> Optional[keras.Model]:
    """Load VGG-19 without its top, frozen.

    Args:
        weights: "imagenet" for Keras' own download, the path of a file of such weights, or "none" for no network.

    Raises:
        ConfigError: if the weights cannot be loaded. They are never replaced by random ones.
    """
    if weights == "none":
        return None
    try:
        vgg = keras.applications.VGG19(include_top=False, weights=weights)
    except Exception as error:  # Keras raises bare Exception for a failed download, h5py its own kinds
        advice = (
            "connect once, give a local file with --set objective.vgg19=FILE.h5, or train without the perceptual terms "
            "by --set objective.vgg19=none --set objective.adversarial=0.05"
            if weights == "imagenet"
            else "expected the weights of keras.applications.VGG19(include_top=False)"
        )
        reason = str(error).splitlines()[0][:150]
        raise ConfigError(f"objective.vgg19: cannot load {weights!r} ({reason}); {advice}") from None
    vgg.trainable = False
    return vgg
