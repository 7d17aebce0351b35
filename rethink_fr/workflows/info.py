"""`rethink-fr info`: what runs here, and what a configuration costs."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import List, Optional, Tuple

import tensorflow as tf

import rethink_fr
from rethink_fr.config import CONFIG_DIRECTORY, available_configs, load_config
from rethink_fr.workflows.complexity import model_complexity

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "keras-cv", "tensorflow-io", "numpy", "scipy", "pillow")


def describe(config: Optional[str], overrides: List[str]) -> List[Tuple[str, str]]:
    """Rows of name and value: versions, devices, places, and the networks of a configuration if one is named."""
    rows = [("rethink-fr", rethink_fr.__version__), ("python", platform.python_version())]
    rows += [(package, metadata.version(package)) for package in _PACKAGES]
    devices = [device.name for device in tf.config.list_physical_devices()]
    rows.append(("devices", ", ".join(devices)))
    rows.append(("configurations", f"{', '.join(available_configs())} in {CONFIG_DIRECTORY}"))
    rows.append(("VGG-19 weights", str(Path("~/.keras/models").expanduser())))
    if config is not None:
        model = load_config(config, overrides).model
        for name, complexity in model_complexity(model).items():
            rows.append(
                (
                    name,
                    f"{complexity.trained_parameters:,} trained parameters, {complexity.codebook_values:,} codebook "
                    f"values, {complexity.multiply_accumulates / 1e9:.3f} G multiply-accumulates an image "
                    f"({model.resolution} px, width {model.width:g}, {model.n_skips} skips)",
                )
            )
    return rows
