"""`rethink-fr info` shows what runs here, and what the networks of a configuration cost.

    rethink-fr info --config rethink_512

It prints versions, devices, the implementation of each native operator and where files are kept; with `--config` also
the parameters and the arithmetic of the configuration's networks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import rethink_fr
from rethink_fr.commands.arguments import add_settings
from rethink_fr.errors import OK

NAME = "info"
SUMMARY = "show versions, devices and places, and what a configuration's networks cost"
EXAMPLE = "rethink-fr info --config rethink_512"

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "keras-cv", "tensorflow-io", "numpy", "scipy", "pillow")
_REFERENCE = "reference (TensorFlow's own operations)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE_OR_NAME", help="count the parameters and arithmetic of its networks")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each thing that is known."""
    for name, value in describe(arguments.config, arguments.set):
        print(f"{name:18} {value}")
    return OK


def describe(config: Optional[str], overrides: Sequence[str]) -> List[Tuple[str, str]]:
    """List name and value of what runs here, and of the networks of a configuration if one is named."""
    import platform
    from importlib import metadata

    import tensorflow as tf

    from rethink_fr.runs.config_file import CONFIG_DIRECTORY, available_configs

    rows = [("rethink-fr", rethink_fr.__version__), ("python", platform.python_version())]
    rows += [(package, metadata.version(package)) for package in _PACKAGES]
    devices = [device.name for device in tf.config.list_physical_devices()]
    rows.append(("devices", ", ".join(devices)))
    rows.append(("configurations", f"{', '.join(available_configs())} in {CONFIG_DIRECTORY}"))
    rows += _native_operators()
    rows.append(("VGG-19 weights", str(Path("~/.keras/models").expanduser())))
    return rows if config is None else [*rows, *_networks(config, overrides)]


def _networks(config: str, overrides: Sequence[str]) -> List[Tuple[str, str]]:
    from rethink_fr.runs.config_file import load_config, load_model_section
    from rethink_fr.systems import SYSTEMS

    path = Path(config)
    if path.suffix in (".yaml", ".yml") and path.is_file() and not overrides:
        architecture, model = load_model_section(path)
    else:
        experiment = load_config(config, overrides)
        architecture, model = experiment.architecture, experiment.model
    return SYSTEMS[architecture].costs(model)


def _native_operators() -> List[Tuple[str, str]]:
    """Where the native operators come from, which implementation of each is used, and where libraries are kept."""
    from rethink_fr.ops import NativeOpsError
    from rethink_fr.ops.implementation import faults_on_gpus
    from rethink_fr.ops.native import OPERATORS, forbidden, native_library

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
                faults, tried = faults_on_gpus(loaded.module)
                if tried:
                    operator = {name: f"{text}, tried on {', '.join(tried)}" for name, text in operator.items()}
                operator.update({name: f"{_REFERENCE}: {reason}" for name, reason in faults.items()})
    rows = [("native operators", state)]
    rows += [(name, operator.get(name, _REFERENCE)) for name in OPERATORS]
    return [*rows, ("built libraries", str(library.cache))]
