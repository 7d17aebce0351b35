"""The networks of VQFR."""
