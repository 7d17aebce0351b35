"""`rethink-fr convert-vqfr`: published PyTorch weights become a run directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from rethink_fr.config import save_model_section
from rethink_fr.restorers import restorer_kinds
from rethink_fr.torch_files import TorchFileError, read_torch_file
from rethink_fr.training.checkpoints import save_average

_ARCHITECTURE = "vqfr"
_SECTIONS = ("params_ema", "params")  # of a published file; the first that is there counts


class ConvertError(ValueError):
    """A file that is not a published checkpoint, or cannot be read or converted."""


class ConvertReport(NamedTuple):
    """What was converted."""

    output: Path
    network: str
    parameters: int


def convert(checkpoint: Path, output: Path) -> ConvertReport:
    """Turn a published checkpoint into a run directory that `restore` and `export` take.

    Version and stage are recognised by the names in it. The directory appears complete or not at all.

    Args:
        checkpoint: a `.pth` file, a dictionary with the weights under `params_ema` or `params`.
        output: a new or empty directory.

    Raises:
        ConvertError: if it is not such a file, PyTorch is not installed, or `output` is taken.
        ValueError: if the weights are not exactly those of a network.
    """
    kind = restorer_kinds().get(_ARCHITECTURE)
    if kind is None or kind.from_torch is None:
        raise ConvertError("convert-vqfr: this installation has no VQFR")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConvertError(f"{output}: exists and is not empty; remove it or choose another --output")
    try:
        state = read_torch_file(checkpoint, _SECTIONS)
    except TorchFileError as error:
        raise ConvertError(str(error)) from None
    try:
        settings, network = kind.from_torch(state)
    except ValueError as error:
        raise ConvertError(f"{checkpoint}: {error}") from None
    partial = output.absolute().parent / f".{output.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_average(partial / "checkpoints", network)
        save_model_section(_ARCHITECTURE, settings, partial / "config.yaml")
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ConvertReport(output, f"{settings.network} version {settings.version}", network.count_params())
