"""Configurations: what is known of a run before TensorFlow loads."""
