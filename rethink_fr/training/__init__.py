"""Training: the step, its tasks, augmentation, the average, and what happens between steps."""

from rethink_fr.layers.diff_augment import diff_augment
from rethink_fr.training.trainer import AdversarialTrainer

__all__ = ["AdversarialTrainer", "diff_augment"]
