"""Metrics: functions of arrays. NumPy and SciPy only; nothing here imports TensorFlow or reads files."""

from rethink_fr.metrics.faces import identity_angle, landmark_distance
from rethink_fr.metrics.fidelity import luma, psnr, ssim
from rethink_fr.metrics.frechet import FeatureMoments, frechet_distance, frechet_distance_of_moments

__all__ = [
    "FeatureMoments",
    "frechet_distance",
    "frechet_distance_of_moments",
    "identity_angle",
    "landmark_distance",
    "luma",
    "psnr",
    "ssim",
]
