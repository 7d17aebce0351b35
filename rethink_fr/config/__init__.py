"""Configurations: their sections, how they are read and how they are checked. Nothing here imports TensorFlow."""
