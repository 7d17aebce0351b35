"""What `rethink_fr.metrics` offers, gathered from its modules. NumPy and SciPy; comparing features loads TensorFlow."""

from rethink_fr.metrics.codebook import CodeUsage, code_usage
from rethink_fr.metrics.faces import identity_angle, landmark_distance
from rethink_fr.metrics.fidelity import luma, psnr, ssim
from rethink_fr.metrics.frechet import (
    FeatureMoments,
    frechet_distance,
    frechet_distance_of_moments,
    load_fid_statistics,
)
from rethink_fr.metrics.low_pass import LowPass, consistency, fit_low_pass
from rethink_fr.metrics.naturalness import load_niqe_statistics, niqe
from rethink_fr.metrics.neighbours import Coverage, coverage, identity_precision_recall, precision_recall
from rethink_fr.metrics.perceptual import FeatureMaps, PerceptualNetwork, lpips, perceptual_distance
from rethink_fr.metrics.posterior import (
    SampleErrors,
    band_errors,
    calibrated_ratio,
    diversity,
    error_ratio,
    fair_crps,
    identity_spread,
    interval_coverage,
    sample_errors,
    sample_spread,
    spread_error_correlation,
)
from rethink_fr.metrics.resampling import bands
from rethink_fr.metrics.vqfr_protocol import different_faces, match_mean_and_std

__all__ = [
    "CodeUsage",
    "Coverage",
    "FeatureMaps",
    "FeatureMoments",
    "LowPass",
    "PerceptualNetwork",
    "SampleErrors",
    "band_errors",
    "bands",
    "calibrated_ratio",
    "code_usage",
    "consistency",
    "coverage",
    "different_faces",
    "diversity",
    "error_ratio",
    "fair_crps",
    "fit_low_pass",
    "frechet_distance",
    "frechet_distance_of_moments",
    "identity_angle",
    "identity_precision_recall",
    "identity_spread",
    "interval_coverage",
    "landmark_distance",
    "load_fid_statistics",
    "load_niqe_statistics",
    "lpips",
    "luma",
    "match_mean_and_std",
    "niqe",
    "perceptual_distance",
    "precision_recall",
    "psnr",
    "sample_errors",
    "sample_spread",
    "spread_error_correlation",
    "ssim",
]
