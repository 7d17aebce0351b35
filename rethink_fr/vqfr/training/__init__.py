"""Both training stages of VQFR."""
