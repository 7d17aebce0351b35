"""Metrics: functions of arrays."""

from rethink_fr.metrics.fidelity import psnr, ssim

__all__ = ["psnr", "ssim"]
