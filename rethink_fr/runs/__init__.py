"""The folder of a run: its configuration, checkpoints and records."""
