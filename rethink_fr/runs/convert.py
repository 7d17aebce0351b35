"""`rethink-fr convert-vqfr`: turns published PyTorch weights into the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from rethink_fr.files.names import printable
from rethink_fr.files.outputs import check_folder
from rethink_fr.files.writing import new_folder
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.systems import SYSTEMS
from rethink_fr.weights.torch_files import TorchFileError, read_torch_file

_RUN_PARTS = ("checkpoints", "config.yaml")  # what is written here; training adds other files
_SECTIONS = ("params_ema", "params")  # where a published file has its weights; the first one that exists is read


class ConvertError(ValueError):
    """The file is not a published checkpoint, or it cannot be read or converted."""


class ConvertReport(NamedTuple):
    """What was converted."""

    output: Path
    network: str
    parameters: int


def convert(checkpoint: Path, output: Path, overwrite: bool = False) -> ConvertReport:
    """Turn a published checkpoint into the folder of a run, which `restore`, `export` and `train --init` take.

    The names of the weights tell the version and the stage. The folder appears complete or not at all.

    Args:
        checkpoint: a `.pth` file that holds a dictionary with the weights under `params_ema` or `params`.
        output: a new or empty folder.
        overwrite: whether a network that was converted to this folder before may be replaced. One that was trained
            since then is never replaced.

    Raises:
        ConvertError: if it is not such a file, or PyTorch is not installed.
        ValueError: if the weights are not exactly those of a network, or the folder is not empty or cannot be written.
    """
    check_folder(output, [checkpoint], overwrite, _RUN_PARTS)
    convertible = {name: system.from_torch for name, system in SYSTEMS.items() if system.from_torch is not None}
    if not convertible:
        raise ConvertError("convert-vqfr: this installation has no VQFR")
    architecture, from_torch = next(iter(convertible.items()))  # there is one system with published weights
    try:
        state = read_torch_file(checkpoint, _SECTIONS)
    except TorchFileError as error:
        raise ConvertError(str(error)) from None
    try:
        settings, network = from_torch(state)
    except ValueError as error:
        raise ConvertError(f"{printable(checkpoint)}: {error}") from None
    try:
        with new_folder(output, replace=overwrite, last="config.yaml") as folder:
            save_average(folder / "checkpoints", network)
            save_model_section(architecture, settings, folder / "config.yaml")
    except tf.errors.OpError as error:
        raise ConvertError(f"{printable(output)}: cannot be written ({str(error).splitlines()[0]})") from None
    return ConvertReport(output, f"{settings.network} version {settings.version}", network.count_params())
