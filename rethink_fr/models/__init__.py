"""The networks of "Rethinking Deep Face Restoration"."""

from rethink_fr.models.discriminator import Discriminator
from rethink_fr.models.encoder import Encoder
from rethink_fr.models.restorer import Restorer

__all__ = ["Discriminator", "Encoder", "Restorer"]
