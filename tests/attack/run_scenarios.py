"""What the trials with TensorFlow do: commands of `rethink-fr`, as a user gives them.

Nothing may be computed when this is imported: TensorFlow's threads do not live on in a forked process.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: F401  (so that forked processes have it)

import rethink_fr.workflows.convert
import rethink_fr.workflows.evaluate
import rethink_fr.workflows.export
import rethink_fr.workflows.restore
import rethink_fr.workflows.train  # noqa: F401
from rethink_fr import restorers
from rethink_fr.cli import main

# A system that trains in a second: everything around it is the package's own.
restorers.RESTORERS["toy"] = "tests.training.toy"


def command(*arguments: str) -> int:
    """`rethink-fr ARGUMENTS`."""
    return main(arguments)
