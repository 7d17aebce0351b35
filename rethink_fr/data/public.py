"""The public names of `rethink_fr.data`. They stand in a module of their own because importing it loads TensorFlow."""

# ruff: noqa: F401 (`__all__` of the package names them)

from rethink_fr.data.augmentation import augment
from rethink_fr.data.degradation.tasks import degrade, degrade_for_task, super_resolution_input
from rethink_fr.data.degradation.vqfr_recipe import VQFR_RANGES
from rethink_fr.data.pipeline import fixed_batch, training_batches
from rethink_fr.data.sources.opening import open_source, split_holdout
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.pictures.files import UnreadableImage
