"""Training a run of any system: the step, what happens after each step, and checkpoints."""

from rethink_fr.layers.diff_augment import diff_augment
from rethink_fr.training.trainer import AdversarialTrainer

__all__ = ["AdversarialTrainer", "diff_augment"]
