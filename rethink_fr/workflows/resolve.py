"""The configuration of a call of `train`. Imports no TensorFlow: mistakes are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from rethink_fr.config import ConfigError, ExperimentConfig, changed_keys, load_config

# What may change between the two halves of a run without making it another experiment.
_CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.validate_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.logical_cpus",
    "data.workers",
}


def resolve_config(name: Optional[str], overrides: Sequence[str], output: Path) -> ExperimentConfig:
    """The configuration named, else that of the run in `output`, else `quickstart`; with overrides, checked.

    Raises:
        ConfigError: if it is invalid, names files that are not there, or would turn the run in `output` into another
            experiment.
    """
    saved = output / "config.yaml"
    if name is None:
        name = str(saved) if saved.is_file() else "quickstart"
    config = load_config(name, overrides)
    for key in ("train", "validation"):
        where = getattr(config.data, key)
        if where not in ("builtin", "holdout") and not Path(where).is_dir():
            raise ConfigError(
                f"data.{key}: no folder {where}; expected 'builtin' or a folder of images or TFRecord files"
            )
    weights = config.objective.vgg19
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ConfigError(f"objective.vgg19: no file {weights}; expected 'imagenet', 'none' or a Keras VGG-19 .h5 file")
    if saved.is_file():
        changed = [key for key in changed_keys(load_config(saved), config) if key not in _CHANGEABLE]
        if changed:
            raise ConfigError(
                f"{output} holds a run with other settings ({', '.join(changed)}); leave them as they are to continue "
                "it, or choose another --output"
            )
    return config
