"""The list of all systems. Does not import TensorFlow."""

from __future__ import annotations

from typing import Dict

from rethink_fr.restorer.system import SYSTEM as RESTORER
from rethink_fr.system import System
from rethink_fr.vqfr.system import SYSTEM as VQFR

# Keys are values of `architecture` in a configuration. To remove VQFR, delete its folder, its import and its line here.
SYSTEMS: Dict[str, System] = {
    "rethink": RESTORER,
    "vqfr": VQFR,
}
