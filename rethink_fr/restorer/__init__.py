"""The first system: the stochastic restorer of "Rethinking Deep Face Restoration" (CVPR 2022)."""
