"""VQFR, the second system: face restoration from a codebook of textures (Gu et al., ECCV 2022). Deletable."""

from rethink_fr.vqfr.discriminators import StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.network import VQFR, VQGAN, Faces, Reconstruction
from rethink_fr.vqfr.patch_discriminator import PatchDiscriminator
from rethink_fr.vqfr.torch_state import TorchStateError, load_torch_state, torch_state

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
