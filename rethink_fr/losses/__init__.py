"""Loss functions: pure, unweighted, scalar means over this replica."""

from rethink_fr.losses.adversarial import (
    lazy_r1,
    logistic_discriminator_loss,
    nonsaturating_generator_loss,
    r1_penalty,
)
from rethink_fr.losses.reconstruction import l1_loss

__all__ = ["l1_loss", "lazy_r1", "logistic_discriminator_loss", "nonsaturating_generator_loss", "r1_penalty"]
