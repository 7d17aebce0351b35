"""Restoring pictures with a trained network, and exporting it."""
