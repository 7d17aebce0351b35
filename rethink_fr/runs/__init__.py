"""The folder of a run: its configuration, its checkpoints, and the records of its steps."""
