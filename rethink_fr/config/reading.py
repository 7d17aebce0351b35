"""Reading configurations: YAML, overrides, and errors that name the key. The only place that reads YAML.

Nothing here imports TensorFlow, so that a wrong key or value is refused in milliseconds. Only `workflows` and `cli`
import this module.
"""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any, Literal, Mapping, Sequence, Tuple

import yaml

from rethink_fr.config.checks import ConfigError, check_shared
from rethink_fr.config.sections import DegradationConfig, Experiment
from rethink_fr.config.strict_yaml import YamlTextError, parse_yaml, read_yaml
from rethink_fr.files import writing
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.restorer.settings import ExperimentConfig
from rethink_fr.system import System
from rethink_fr.systems import SYSTEMS

_PACKAGE = Path(__file__).parent
# An installed package carries the folder inside; a checkout has it beside the package.
CONFIG_DIRECTORY = next(
    (path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()), _PACKAGE / "configs"
)
_ARCHITECTURE = "rethink"  # of a file that does not say
_LAST_SECTION = "training"  # of every experiment: a file that was cut off lacks it


def available_configs() -> list[str]:
    """Names of the configurations that are installed with the package."""
    return sorted(path.stem for path in CONFIG_DIRECTORY.glob("*.yaml"))


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration by installed name or by path, apply `key=value` overrides, check it.

    Its key `architecture` says which system it is of; without one it is the stochastic restorer.

    Raises:
        ConfigError: naming the key, what stood there and what was expected.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIG_DIRECTORY / f"{name_or_path}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no configuration {str(name_or_path)!r}: expected a .yaml file or one of {', '.join(available_configs())}"
        )
    values = _read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as 'model:' at the top, got {type(values).__name__}")
    for override in overrides:
        _apply_override(values, override)
    architecture, kind = _kind(values, "")
    if kind.experiment is None or kind.check is None:
        raise ConfigError(f"architecture: {architecture} cannot be trained by this version")
    config = _parse(kind.experiment, values, "")
    kind.check(config)
    return config


def load_degradation(overrides: Sequence[str], task: str) -> DegradationConfig:
    """The degradation section alone, from its defaults and `key=value` overrides (keys as in that section).

    Raises:
        ConfigError: as `load_config`.
    """
    values: dict = {"task": task}
    for override in overrides:
        _apply_override(values, override)
    config = _parse(ExperimentConfig, {"degradation": values}, "")
    check_shared(config)
    return config.degradation


def save_config(config: Experiment, path: Path) -> None:
    """Write the resolved configuration so that `load_config` gives the same one back.

    Raises:
        WriteError: if it cannot be written.
    """
    writing.write_text(path, yaml.safe_dump(_plain(config), sort_keys=False, default_flow_style=None))


def load_run_config(path: Path) -> Experiment:
    """The configuration of a run that has begun, as `save_config` wrote it: an empty file is not one of defaults.

    Raises:
        ConfigError: as `load_config`, and if it is not whole.
    """
    values = _read_yaml(path)
    if not isinstance(values, dict) or _LAST_SECTION not in values:
        raise ConfigError(f"{path}: has no section {_LAST_SECTION!r}, expected the whole configuration of a run")
    return load_config(path)


def load_model_section(path: Path) -> Tuple[str, Any]:
    """The architecture that a run directory's `config.yaml` is about, and its `model` section.

    Raises:
        ConfigError: as `load_config`.
    """
    values = _read_yaml(path)
    if isinstance(values, dict) and "architecture" in values and set(values) <= {"architecture", "model"}:
        # A network that was not trained here, see `save_model_section`.
        architecture, kind = _kind(values, f"{path}: ")
        return architecture, _parse(kind.settings, values.get("model", {}), "model")
    config = load_config(path)
    return config.architecture, config.model


def save_model_section(architecture: str, settings: Any, path: Path) -> None:
    """Write the `config.yaml` of a network that was not trained here, for `load_model_section`.

    Raises:
        WriteError: if it cannot be written.
    """
    values = {"architecture": architecture, "model": _plain(settings)}
    writing.write_text(path, yaml.safe_dump(values, sort_keys=False, default_flow_style=None))


def changed_keys(old: Experiment, new: Experiment) -> list[str]:
    """Dotted keys in which two configurations differ; only `architecture` if they are of two systems."""
    if old.architecture != new.architecture:
        return ["architecture"]
    return _changed(_plain(old), _plain(new), "")


def learning_rates(config: Experiment) -> dict[str, float]:
    """The learning rates of a configuration by their dotted keys, such as `optimizer.learning_rate`."""
    plain = _plain(getattr(config, "optimizer", None))
    sections = {"optimizer": plain} if isinstance(plain, dict) else {}
    sections.update({f"optimizer.{name}": part for name, part in (plain or {}).items() if isinstance(part, dict)})
    return {f"{key}.learning_rate": part["learning_rate"] for key, part in sections.items() if "learning_rate" in part}


def _changed(old: Any, new: Any, key: str) -> list[str]:
    if isinstance(new, dict):
        return [changed for name in new for changed in _changed(old[name], new[name], _join(key, name))]
    return [] if old == new else [key]


def _kind(values: Mapping[str, Any], where: str) -> Tuple[str, System]:
    """The system that a file is about."""
    architecture = values.get("architecture", _ARCHITECTURE)
    if not isinstance(architecture, str) or architecture not in SYSTEMS:
        raise ConfigError(f"{where}architecture: expected one of {', '.join(SYSTEMS)}, got {_shown(architecture)}")
    return architecture, SYSTEMS[architecture]


def _read_yaml(path: Path) -> Any:
    try:
        return read_yaml(path) or {}
    except UnreadableFile as error:
        raise ConfigError(str(error)) from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {key.name: _plain(getattr(value, key.name)) for key in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _apply_override(values: dict, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {_shown(override)}: expected key=value, for example model.width=0.5")
    try:
        value = parse_yaml(text)
    except YamlTextError as error:
        raise ConfigError(f"{printable(key)}: cannot read the value {_shown(text)} ({error})") from None
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{printable(key)}: {_shown(section)} is a value, not a section")
        values = inner
    values[last] = value


def _parse(kind: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `kind`, or a ConfigError that names `key`."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a section, got {_shown(value)}")
        hints = typing.get_type_hints(kind)
        names = [name.name for name in dataclasses.fields(kind)]
        for name in value:
            if name not in names:
                raise ConfigError(f"{_join(key, name)}: no such key; known here: {', '.join(names)}")
        return kind(**{name: _parse(hints[name], inner, _join(key, name)) for name, inner in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key}: expected one of {', '.join(map(str, arguments))}, got {_shown(value)}")
        return value
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            if not isinstance(value, (list, tuple)):
                raise ConfigError(f"{key}: expected a list, got {_shown(value)}")
            arguments = arguments[:1] * len(value)
        if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
            raise ConfigError(f"{key}: expected {len(arguments)} numbers, got {_shown(value)}")
        return tuple(_parse(inner, item, key) for inner, item in zip(arguments, value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = ""
        if kind is float and isinstance(value, str) and _is_number(value):
            hint = f" (YAML reads it as text: write {float(value):.1e})"
        raise ConfigError(f"{key}: expected {kind.__name__}, got {_shown(value)}{hint}")
    return value


def _join(key: str, name: Any) -> str:
    shown = printable(str(name))
    return f"{key}.{shown}" if key else shown


def _shown(value: Any) -> str:
    """`value` as a message quotes it: on one line, and not all of it if it is long."""
    text = printable(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
