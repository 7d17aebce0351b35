"""What the trials with TensorFlow do: commands of `rethink-fr`, as a user gives them.

Nothing may be computed when this is imported: TensorFlow's threads do not live on in a forked process.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: F401  (so that forked processes have it)

import rethink_fr.evaluation.evaluate
import rethink_fr.inference.loading
import rethink_fr.inference.restore
import rethink_fr.runs.convert
import rethink_fr.training.run  # noqa: F401
from rethink_fr.cli import main
from rethink_fr.systems import SYSTEMS
from tests.training import toy

# A system that trains in a second: everything around it is the package's own.
SYSTEMS["toy"] = toy.SYSTEM


def command(*arguments: str) -> int:
    """`rethink-fr ARGUMENTS`."""
    return main(arguments)


def build_library(sources: str, cache: str) -> int:
    """Build the native library of a folder of sources, and use it."""
    from rethink_fr.ops import NativeOpsError
    from rethink_fr.ops.native import NativeLibrary

    try:
        NativeLibrary(Path(sources), Path(sources), Path(cache)).build()
    except NativeOpsError as error:
        print(error)
        return 1
    return 0


def fetch(url: str, path: str, sha256: str) -> int:
    """Download a file."""
    from rethink_fr.weights.download import DownloadError, download

    try:
        download(url, Path(path), sha256, progress=False)
    except DownloadError as error:
        print(error)
        return 1
    return 0
