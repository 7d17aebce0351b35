"""`rethink-fr info`: what runs here, and what a configuration costs."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import List, Optional, Tuple

import tensorflow as tf

import rethink_fr
from rethink_fr.config import CONFIG_DIRECTORY, available_configs, load_config, load_model_section
from rethink_fr.workflows.build import restorer_kinds
from rethink_fr.workflows.complexity import inference_complexity, model_complexity

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
        rows += _networks(config, overrides)
    return rows


def _networks(config: str, overrides: List[str]) -> List[Tuple[str, str]]:
    rows = []
    path, kinds = Path(config), restorer_kinds()
    if path.suffix in (".yaml", ".yml") and path.is_file() and not overrides:
        architecture, settings = load_model_section(path, {name: kind.settings for name, kind in kinds.items()})
        if architecture != "rethink":
            kind = kinds[architecture]
            complexity = inference_complexity(kind.inference(kind.build(settings), "float32"))
            return [
                (
                    f"{settings.network} {settings.version}",
                    f"{complexity.trained_parameters:,} parameters, {complexity.multiply_accumulates / 1e9:.3f} G "
                    f"multiply-accumulates an image ({settings.resolution} px, width {settings.width:g})",
                )
            ]
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
