"""The public names of `rethink_fr.vqfr`. They stand in a module of their own because importing it loads TensorFlow."""

# ruff: noqa: F401 (`__all__` of the package names them)

from rethink_fr.vqfr.networks.discriminators import StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.networks.network import VQFR, VQGAN, Faces, Reconstruction
from rethink_fr.vqfr.networks.patch_discriminator import PatchDiscriminator
from rethink_fr.vqfr.published_weights import load_torch_state, torch_state
from rethink_fr.weights.state_dicts import TorchStateError
