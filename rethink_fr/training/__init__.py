"""Training: the step, the restorer's task, augmentation, the average, and what happens between steps."""

from rethink_fr.training.diff_augment import diff_augment
from rethink_fr.training.objective import RestorerObjective
from rethink_fr.training.restorer_task import RestorerTask
from rethink_fr.training.trainer import AdversarialTrainer

__all__ = ["AdversarialTrainer", "RestorerObjective", "RestorerTask", "diff_augment"]
