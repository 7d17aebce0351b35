"""Reading, checking, writing and comparing configurations, of whichever system.

Does not import TensorFlow, so that a wrong key or value is reported within milliseconds.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

import yaml

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.parsing import apply_override, join, parse, plain, shown
from rethink_fr.config.sections import Experiment
from rethink_fr.config.strict_yaml import read_yaml
from rethink_fr.files import writing
from rethink_fr.files.reading import UnreadableFile, file_size
from rethink_fr.system import System
from rethink_fr.systems import SYSTEMS

_PACKAGE = Path(__file__).parents[1]
# The folder is inside an installed package, and beside the package in a checkout.
CONFIG_DIRECTORY = next(
    (path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()), _PACKAGE / "configs"
)
_ARCHITECTURE = "rethink"  # if a file does not name one
_LAST_SECTION = "training"  # of all configurations; missing in a file that was cut off


def available_configs() -> list[str]:
    """The names of the configurations that come with the package."""
    return sorted(path.stem for path in CONFIG_DIRECTORY.glob("*.yaml"))


def yaml_file(name_or_path: Union[str, Path], folder: Path) -> Optional[Path]:
    """The file that is meant: one of `folder` by its name, or any `.yaml` file by its path; None if it is not there."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name_or_path}.yaml"
    return None if file_size(path) is None else path


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration, apply overrides, and check it.

    Args:
        name_or_path: the name of a configuration that comes with the package, or the path of a `.yaml` file. Its key
            `architecture` names the system; without this key it is the stochastic restorer.
        overrides: `section.key=value`.

    Raises:
        ConfigError: if it is not valid; the message names the key, its value and what was expected.
    """
    path = yaml_file(name_or_path, CONFIG_DIRECTORY)
    if path is None:
        raise ConfigError(
            f"no configuration {str(name_or_path)!r}: expected a .yaml file or one of {', '.join(available_configs())}"
        )
    values = _read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as 'model:' at the top, got {type(values).__name__}")
    for override in overrides:
        apply_override(values, override)
    architecture, kind = _kind(values, "")
    if kind.experiment is None or kind.check is None:
        raise ConfigError(f"architecture: {architecture} cannot be trained by this version")
    config = parse(kind.experiment, values, "")
    kind.check(config)
    return config


def save_config(config: Experiment, path: Path) -> None:
    """Write a configuration with all its values; `load_config` reads it back.

    Raises:
        WriteError: if it cannot be written.
    """
    writing.write_text(path, config_text(config))


def config_text(config: Experiment) -> str:
    """A configuration with all its values, as YAML."""
    text: str = yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None)
    return text


def settings(config: Experiment) -> dict[str, Any]:
    """All values of a configuration by their dotted keys; numbers and texts, lists as text."""
    leaves = _leaves("", plain(config))
    return {key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in leaves}


def with_rates_lowered(config: Experiment, factor: float) -> Experiment:
    """The configuration with all its `learning_rates` multiplied by a factor."""
    if factor == 1:
        return config
    values = plain(config)
    for key, rate in learning_rates(config).items():
        *sections, last = key.split(".")
        functools.reduce(dict.__getitem__, sections, values)[last] = rate * factor
    lowered: Experiment = parse(type(config), values, "")
    return lowered


def load_run_config(path: Path) -> Experiment:
    """Read the configuration of a run that has begun, as `save_config` wrote it.

    Raises:
        ConfigError: as `load_config`, and if its end is missing. An empty file does not stand for the defaults.
    """
    values = _read_yaml(path)
    if not isinstance(values, dict) or _LAST_SECTION not in values:
        raise ConfigError(f"{path}: has no section {_LAST_SECTION!r}, expected the whole configuration of a run")
    return load_config(path)


def load_model_section(path: Path) -> Tuple[str, Any]:
    """Read from the `config.yaml` of a run's folder the name of its system and its `model` section.

    Raises:
        ConfigError: as `load_config`.
    """
    values = _read_yaml(path)
    if isinstance(values, dict) and "architecture" in values and set(values) <= {"architecture", "model"}:
        # A network that was not trained here; see `save_model_section`.
        architecture, kind = _kind(values, f"{path}: ")
        return architecture, parse(kind.settings, values.get("model", {}), "model")
    config = load_config(path)
    return config.architecture, config.model


def save_model_section(architecture: str, settings: Any, path: Path) -> None:
    """Write the `config.yaml` of a network that was not trained here, which `load_model_section` reads.

    Raises:
        WriteError: if it cannot be written.
    """
    values = {"architecture": architecture, "model": plain(settings)}
    writing.write_text(path, yaml.safe_dump(values, sort_keys=False, default_flow_style=None))


def changed_keys(old: Experiment, new: Experiment) -> list[str]:
    """The dotted keys in which two configurations differ; only `architecture` if they are of different systems."""
    if old.architecture != new.architecture:
        return ["architecture"]
    return _changed(plain(old), plain(new), "")


def learning_rates(config: Experiment) -> dict[str, float]:
    """All learning rates of a configuration, by dotted keys such as `optimizer.learning_rate`."""
    optimizer = plain(getattr(config, "optimizer", None))
    sections = {"optimizer": optimizer} if isinstance(optimizer, dict) else {}
    sections.update({f"optimizer.{name}": part for name, part in (optimizer or {}).items() if isinstance(part, dict)})
    return {f"{key}.learning_rate": part["learning_rate"] for key, part in sections.items() if "learning_rate" in part}


def _leaves(key: str, value: Any) -> list[Tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for name in value for leaf in _leaves(join(key, name), value[name])]
    return [(key, value)]


def _changed(old: Any, new: Any, key: str) -> list[str]:
    if isinstance(new, dict):
        return [changed for name in new for changed in _changed(old[name], new[name], join(key, name))]
    return [] if old == new else [key]


def _kind(values: Mapping[str, Any], where: str) -> Tuple[str, System]:
    """The system that a file is for, and its name."""
    architecture = values.get("architecture", _ARCHITECTURE)
    if not isinstance(architecture, str) or architecture not in SYSTEMS:
        raise ConfigError(f"{where}architecture: expected one of {', '.join(SYSTEMS)}, got {shown(architecture)}")
    return architecture, SYSTEMS[architecture]


def _read_yaml(path: Path) -> Any:
    try:
        return read_yaml(path) or {}
    except UnreadableFile as error:
        raise ConfigError(str(error)) from None
