"""How VQFR is trained, in two stages: the codebook, then the restoration."""
