"""The systems of networks that there are. Imports no TensorFlow."""

from __future__ import annotations

from typing import Dict

from rethink_fr.restorer.system import SYSTEM as RESTORER
from rethink_fr.system import System
from rethink_fr.vqfr.system import SYSTEM as VQFR

# By the key `architecture` of a configuration. To take VQFR out, delete its folder, its import above and its line here.
SYSTEMS: Dict[str, System] = {
    "rethink": RESTORER,
    "vqfr": VQFR,
}
