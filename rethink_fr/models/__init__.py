"""The public names of the stochastic restorer's networks."""

from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Encoder, Restorer

__all__ = ["Discriminator", "Encoder", "Restorer"]
