"""Feature networks with published weights, for measuring only: what they are, not where their files lie."""

from rethink_fr.features.interface import Embedder, LandmarkNetwork, NamedPerceptualNetwork

__all__ = ["Embedder", "LandmarkNetwork", "NamedPerceptualNetwork"]
