"""The loss of one image that a generator makes, and the discriminators that judge this image."""

from __future__ import annotations

from typing import Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.adaptive import adaptive_weight
from rethink_fr.losses.adversarial import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    lazy_r1,
    logistic_discriminator_loss,
    nonsaturating_generator_loss,
)
from rethink_fr.losses.lpips import PerceptualDistance
from rethink_fr.losses.reconstruction import l1_loss
from rethink_fr.system import StepContext, Turn, TurnLoss
from rethink_fr.vqfr.settings import BranchConfig, VQFRObjectiveConfig

_PERCEPTUAL = ("lpips", "style")
_RECONSTRUCTION = ("l1", *_PERCEPTUAL)


class Target(NamedTuple):
    """Clean images, with what is computed of them once for all branches."""

    images: tf.Tensor  # [B, H, W, 3]
    features: Optional[Sequence[tf.Tensor]]  # of the perceptual network; None if there is none


def target(images: tf.Tensor, perceptual: Optional[PerceptualDistance]) -> Target:
    """The target of all branches for clean images `[B, H, W, 3]` in [-1, 1]."""
    return Target(images, None if perceptual is None else [tf.stop_gradient(f) for f in perceptual.features(images)])


class ImageBranch:
    """The loss of the texture image or of the main image, and the turn of its discriminators.

    "VQFR" (Gu et al., ECCV 2022), section 3.4: L1, LPIPS and style terms compare the image with the clean one; a global
    and a local discriminator judge it.

    Args:
        name: "texture" or "main"; part of the names of all scalars.
        weights: weights of the terms of this branch. LPIPS and style are left out where their weight is 0.
        objective: what both branches have in common.
        perceptual: the network of the LPIPS and style terms; None leaves them out.
        global_discriminator, local_discriminator: the discriminators whose weight is not 0.
    """

    def __init__(
        self,
        name: str,
        weights: BranchConfig,
        objective: VQFRObjectiveConfig,
        perceptual: Optional[PerceptualDistance],
        global_discriminator: Optional[keras.Model] = None,
        local_discriminator: Optional[keras.Model] = None,
    ) -> None:
        self.name = name
        self.objective = objective
        self.perceptual = perceptual
        self.global_discriminator = global_discriminator
        self.local_discriminator = local_discriminator
        self.adversarial_from = weights.adversarial_from
        self.local_weight = weights.local_adversarial
        self.weights = {"l1": weights.l1, "global": weights.global_adversarial}
        if perceptual is not None:
            self.weights.update({k: w for k, w in (("lpips", weights.lpips), ("style", weights.style)) if w > 0})

    @property
    def optimizer(self) -> str:
        """Name of the optimizer that moves the discriminators, and of their turn."""
        return f"{self.name}_discriminators"

    @property
    def networks(self) -> Dict[str, keras.Model]:
        """The discriminators, by the name that they have in checkpoints."""
        found = {"global": self.global_discriminator, "local": self.local_discriminator}
        return {f"{self.name}_{name}": network for name, network in found.items() if network is not None}

    def adversarial(self, step: int) -> bool:
        """Whether there are discriminators and they have started at this step."""
        return step >= self.adversarial_from and bool(self.networks)

    def terms(self, image: tf.Tensor, target: Target, step: int) -> Dict[str, tf.Tensor]:
        """The unweighted terms of an image `[B, H, W, 3]`, each a scalar.

        Args:
            image: made by the generator.
            target: of the same clean images.
            step: of the run; discriminators may start later than the first step.

        Returns:
            "l1", "lpips" and "style" compare the image with the target; "global" and "local" are the generator's
            losses by the two discriminators. Terms that are left out are missing.
        """
        terms = {"l1": l1_loss(target.images, image)}
        compared = [name for name in _PERCEPTUAL if name in self.weights]
        if compared and self.perceptual is not None and target.features is not None:
            terms.update(self.perceptual.compare(target.features, image, compared))
        if self.adversarial(step):
            if self.global_discriminator is not None:
                terms["global"] = nonsaturating_generator_loss(self.global_discriminator(image))
            if self.local_discriminator is not None:
                terms["local"] = hinge_generator_loss(self.local_discriminator(image, training=True))
        return terms

    def total(
        self,
        image: tf.Tensor,
        terms: Mapping[str, tf.Tensor],
        tape: tf.GradientTape,
        kernel: tf.Variable,
        scale: tf.Tensor,
    ) -> TurnLoss:
        """The weighted sum of the terms. The local term has an adaptive weight; see `adaptive_weight`.

        Args:
            image: made by the generator under `tape`.
            terms: of this image, computed under `tape`.
            tape: a persistent tape that watches `kernel`.
            kernel: of the last convolution that the image comes from.
            scale: `StepContext.loss_scale`. Where a gradient overflows, that of the loss is not finite either.
        """
        weighted = {name: self.weights[name] * term for name, term in terms.items() if name != "local"}
        scalars = {f"loss/{self.name}_{name}": term for name, term in terms.items()}
        if "local" not in terms:
            return TurnLoss(tf.add_n(list(weighted.values())), scalars)
        counted = [n for n in _RECONSTRUCTION if n in terms and (n != "l1" or self.objective.adaptive_l1)]
        scale = tf.cast(scale, image.dtype)
        weights = [scale * self.weights[name] for name in counted]
        # Once through the perceptual network and the local discriminator, down to the image: from there both the
        # kernel's gradients, which the adaptive weight compares, and the generator's cost little.
        pull = tape.gradient([terms[name] for name in counted], image, output_gradients=weights)
        push = tape.gradient(terms["local"], image, output_gradients=scale)
        gradients = [tape.gradient(image, kernel, output_gradients=part) for part in (pull, push)]
        replica = tf.distribute.get_replica_context()  # the weight is that of the global batch
        gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        weight = adaptive_weight(*(gradient / scale for gradient in gradients))
        # The loss has a value even if its gradient has none.
        shown = tf.where(tf.math.is_nan(weight), tf.zeros_like(weight), weight)
        known = tf.add_n([weighted.pop(name) for name in counted]) + self.local_weight * shown * terms["local"]
        value = _with_gradient(known, image, (pull + self.local_weight * weight * push) / scale)
        scalars[f"adaptive_weight/{self.name}"] = shown
        return TurnLoss(tf.add_n([value, *weighted.values()]), scalars)

    def turn(self) -> Turn:
        """The turn of the discriminators. An earlier turn of the step must have made the image, under `name`."""
        variables = [variable for network in self.networks.values() for variable in network.trainable_variables]
        return Turn(self.optimizer, {self.optimizer: variables}, self._discriminator_loss)

    def _discriminator_loss(
        self, batch: Mapping[str, tf.Tensor], context: StepContext, made: Mapping[str, tf.Tensor]
    ) -> TurnLoss:
        real, fake = batch["clean"], made[self.name]
        value, scalars = tf.zeros([], real.dtype), {}
        if self.global_discriminator is not None:
            real_logits, fake_logits = self.global_discriminator(real), self.global_discriminator(fake)
            value += logistic_discriminator_loss(real_logits, fake_logits)
            scalars[f"score/{self.name}_real"] = tf.reduce_mean(real_logits)
            scalars[f"score/{self.name}_fake"] = tf.reduce_mean(fake_logits)
            if self.objective.r1_gamma:
                penalty = lazy_r1(
                    self.global_discriminator, real, context.step, self.objective.r1_gamma, self.objective.r1_interval
                )
                value += penalty
                scalars[f"loss/{self.name}_r1"] = penalty
        if self.local_discriminator is not None:
            patches = hinge_discriminator_loss(
                self.local_discriminator(real, training=True), self.local_discriminator(fake, training=True)
            )
            value += self.objective.local_discriminator * patches
            scalars[f"loss/{self.name}_patches"] = patches
        return TurnLoss(value, scalars)


@tf.custom_gradient
def _with_gradient(
    value: tf.Tensor, image: tf.Tensor, gradient: tf.Tensor
) -> Tuple[tf.Tensor, Callable[[tf.Tensor], Tuple[None, tf.Tensor, None]]]:
    """The scalar `value`, whose gradient with respect to `image` is set to `gradient`."""
    return tf.identity(value), lambda upstream: (None, upstream * gradient, None)
