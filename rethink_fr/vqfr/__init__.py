"""VQFR, the second system: face restoration from a codebook of textures (Gu et al., ECCV 2022). Deletable."""

from rethink_fr.vqfr.network import VQFR, VQGAN, Faces, Reconstruction
from rethink_fr.vqfr.torch_state import TorchStateError, load_torch_state, torch_state

__all__ = ["Faces", "Reconstruction", "TorchStateError", "VQFR", "VQGAN", "load_torch_state", "torch_state"]
