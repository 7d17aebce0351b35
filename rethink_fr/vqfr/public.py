"""What `rethink_fr.vqfr` offers, gathered from its modules."""

from rethink_fr.vqfr.networks.discriminators import StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.networks.network import VQFR, VQGAN, Faces, Reconstruction
from rethink_fr.vqfr.networks.patch_discriminator import PatchDiscriminator
from rethink_fr.vqfr.published_weights import load_torch_state, torch_state
from rethink_fr.weights.state_dicts import TorchStateError

__all__ = [
    "Faces",
    "PatchDiscriminator",
    "Reconstruction",
    "StyleDiscriminator",
    "TorchStateError",
    "VQFR",
    "VQGAN",
    "WaveletDiscriminator",
    "load_torch_state",
    "torch_state",
]
