"""Trained networks that come with the package: a folder each in `rethink_fr/models/`.

Such a folder holds `config.yaml` (the system and its `model` section), `weights.npz` (float16, by the names of Keras'
`get_weight_paths`), and `card.md`, which says what the network was trained on and may be used for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.files.arrays import read_npz
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import check_folder
from rethink_fr.files.writing import new_folder
from rethink_fr.runs.config_file import load_model_section, save_model_section
from rethink_fr.runs.loading import LoadedRun, load_average
from rethink_fr.system import Precision
from rethink_fr.systems import SYSTEMS

_FOLDER = Path(__file__).parents[1] / "models"
_CONFIG, _WEIGHTS, CARD = "config.yaml", "weights.npz", "card.md"
_PARTS = (_CONFIG, _WEIGHTS, CARD)


def shipped_models() -> List[str]:
    """The names of the networks that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{_WEIGHTS}"))


def shipped_folder(name: str) -> Optional[Path]:
    """The folder of the network of this name; None if none has it."""
    return _FOLDER / name if name in shipped_models() else None


def load_shipped(folder: Path, precision: Precision = "float32") -> LoadedRun:
    """Load a network from such a folder, to restore in float32 or with products in `precision`.

    Raises:
        ValueError: if a file is damaged, or is not of this network.
    """
    architecture, settings = load_model_section(folder / _CONFIG)
    system = SYSTEMS[architecture]
    network = system.build(settings)
    arrays, wanted = read_npz(folder / _WEIGHTS), _kept(network)
    if {name: value.shape for name, value in arrays.items() if name != "step"} != {
        name: tuple(variable.shape) for name, variable in wanted.items()
    }:
        raise ValueError(f"{printable(folder / _WEIGHTS)}: not the weights of this network; install the package again")
    for name, variable in wanted.items():
        variable.assign(arrays[name].astype(np.float32))
    return LoadedRun(settings, system.inference(network, precision), int(arrays["step"]))


def write_shipped(run: Path, folder: Path, card: str, overwrite: bool = False) -> int:
    """Write the averaged network of a run's folder as such a folder, which appears whole or not at all.

    Args:
        run: its folder.
        folder: a new or empty one.
        card: the text of `card.md`.
        overwrite: whether a network that is there may be replaced.

    Returns:
        The step of the checkpoint.

    Raises:
        ValueError: if the run cannot be read, or the folder holds anything that may not be replaced.
    """
    check_folder(folder, [run], overwrite, _PARTS)
    architecture, settings = load_model_section(run / _CONFIG)
    network = SYSTEMS[architecture].build(settings)
    step = load_average(run / "checkpoints", network)
    with new_folder(folder, replace=overwrite, last=_CONFIG) as new:
        weights = {name: variable.numpy().astype(np.float16) for name, variable in _kept(network).items()}
        np.savez_compressed(new / _WEIGHTS, step=np.int64(step), **weights)
        (new / CARD).write_text(card, encoding="utf-8")
        save_model_section(architecture, settings, new / _CONFIG)
    return step


def _kept(network: keras.Model) -> Dict[str, tf.Variable]:
    """The variables that restoring needs: the trained ones and the codebooks, but not how these are learned."""
    needed = {id(variable) for variable in [*network.trainable_variables, *getattr(network, "codebooks", [])]}
    return {name: variable for name, variable in network.get_weight_paths().items() if id(variable) in needed}
