"""Loss functions. Each returns an unweighted scalar, the mean over the batch of this replica."""

from rethink_fr.losses.adaptive import adaptive_weight
from rethink_fr.losses.adversarial import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    lazy_r1,
    logistic_discriminator_loss,
    nonsaturating_generator_loss,
    r1_penalty,
)
from rethink_fr.losses.codes import code_cross_entropy, code_matching_loss
from rethink_fr.losses.reconstruction import l1_loss

__all__ = [
    "adaptive_weight",
    "code_cross_entropy",
    "code_matching_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "l1_loss",
    "lazy_r1",
    "logistic_discriminator_loss",
    "nonsaturating_generator_loss",
    "r1_penalty",
]
