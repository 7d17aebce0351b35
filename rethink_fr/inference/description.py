"""`rethink-fr info`: what runs here, and what a configuration costs."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import List, Optional, Tuple

import tensorflow as tf

import rethink_fr
from rethink_fr.ops import NativeOpsError
from rethink_fr.ops.native import OPERATORS, forbidden, native_library
from rethink_fr.runs.config_file import CONFIG_DIRECTORY, available_configs, load_config, load_model_section
from rethink_fr.systems import SYSTEMS

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "keras-cv", "tensorflow-io", "numpy", "scipy", "pillow")


def describe(config: Optional[str], overrides: List[str]) -> List[Tuple[str, str]]:
    """Rows of name and value: versions, devices, places, and the networks of a configuration if one is named."""
    rows = [("rethink-fr", rethink_fr.__version__), ("python", platform.python_version())]
    rows += [(package, metadata.version(package)) for package in _PACKAGES]
    devices = [device.name for device in tf.config.list_physical_devices()]
    rows.append(("devices", ", ".join(devices)))
    rows.append(("configurations", f"{', '.join(available_configs())} in {CONFIG_DIRECTORY}"))
    rows += _native_rows()
    rows.append(("VGG-19 weights", str(Path("~/.keras/models").expanduser())))
    if config is not None:
        rows += _networks(config, overrides)
    return rows


def _networks(config: str, overrides: List[str]) -> List[Tuple[str, str]]:
    path = Path(config)
    if path.suffix in (".yaml", ".yml") and path.is_file() and not overrides:
        architecture, model = load_model_section(path)
    else:
        experiment = load_config(config, overrides)
        architecture, model = experiment.architecture, experiment.model
    return SYSTEMS[architecture].costs(model)


def _native_rows() -> List[Tuple[str, str]]:
    """Where the native operators come from, which implementation of each is used, and where libraries are kept."""
    library, operator = native_library(), {}
    if forbidden():
        state = "not used: RETHINK_FR_OPS=reference is set"
    else:
        try:
            loaded = library.look()
        except NativeOpsError as error:
            state = "none: " + str(error).removeprefix("no native operators; ")
        else:
            if loaded is None:
                state = "not built yet; the first use builds them, or `rethink-fr build-ops` now"
                operator = {name: "compiled, once built" for name in OPERATORS}
            else:
                state = f"{loaded.origin}, {loaded.instruction_set()} kernels: {loaded.path}"
                operator = {name: "compiled" for name in OPERATORS if loaded.has(name)}
    rows = [("native operators", state)]
    rows += [(name, operator.get(name, "reference (TensorFlow's own operations)")) for name in OPERATORS]
    return [*rows, ("built libraries", str(library.cache))]
