"""From the values of YAML and `--set` to frozen dataclasses, with errors that name the key.

Our own hundred lines rather than a library: they know YAML's trap that 2e-3 is text, name the key of `--set` in the
user's words, and cost no import; pydantic would take 0.1 s of every `--help`.
"""

from __future__ import annotations

import dataclasses
import typing
from types import SimpleNamespace
from typing import Any, Literal, Mapping, Sequence

from rethink_fr.config.checks import ConfigError, check_degradation
from rethink_fr.config.sections import DegradationConfig
from rethink_fr.config.strict_yaml import YamlTextError, parse_yaml
from rethink_fr.files.names import printable


def load_degradation(overrides: Sequence[str], task: str) -> DegradationConfig:
    """The degradation section alone, from its defaults and `key=value` overrides (keys as in that section).

    Raises:
        ConfigError: as `parse`.
    """
    values: dict = {"task": task}
    for override in overrides:
        apply_override(values, override)
    config: DegradationConfig = parse(DegradationConfig, values, "degradation")
    check_degradation(SimpleNamespace(degradation=config))
    return config


def parse(kind: Any, value: Any, key: str) -> Any:
    """Turn what YAML gives into a value of an annotated type.

    Args:
        kind: a frozen dataclass for a section, or the annotation of one of its fields.
        value: as `yaml` reads it.
        key: dotted path of the value, for errors; "" for the whole file.

    Raises:
        ConfigError: naming the key, what stood there and what was expected.
    """
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a section, got {shown(value)}")
        hints = typing.get_type_hints(kind)
        names = [name.name for name in dataclasses.fields(kind)]
        for name in value:
            if name not in names:
                raise ConfigError(f"{join(key, name)}: no such key; known here: {', '.join(names)}")
        return kind(**{name: parse(hints[name], inner, join(key, name)) for name, inner in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key}: expected one of {', '.join(map(str, arguments))}, got {shown(value)}")
        return value
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            if not isinstance(value, (list, tuple)):
                raise ConfigError(f"{key}: expected a list, got {shown(value)}")
            arguments = arguments[:1] * len(value)
        if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
            raise ConfigError(f"{key}: expected {len(arguments)} numbers, got {shown(value)}")
        return tuple(parse(inner, item, key) for inner, item in zip(arguments, value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = ""
        if kind is float and isinstance(value, str) and _is_number(value):
            hint = f" (YAML reads it as text: write {float(value):.1e})"
        raise ConfigError(f"{key}: expected {kind.__name__}, got {shown(value)}{hint}")
    return value


def apply_override(values: dict, override: str) -> None:
    """Put `section.key=value` into the nested dictionaries of a configuration; the value is read as YAML.

    Raises:
        ConfigError: if it is not of that form.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {shown(override)}: expected key=value, for example model.width=0.5")
    try:
        value = parse_yaml(text)
    except YamlTextError as error:
        raise ConfigError(f"{printable(key)}: cannot read the value {shown(text)} ({error})") from None
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{printable(key)}: {shown(section)} is a value, not a section")
        values = inner
    values[last] = value


def plain(value: Any) -> Any:
    """A frozen dataclass as nested dictionaries and lists, as YAML writes them."""
    if dataclasses.is_dataclass(value):
        return {key.name: plain(getattr(value, key.name)) for key in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def join(key: str, name: Any) -> str:
    """The dotted path of `name` within `key`."""
    shown = printable(str(name))
    return f"{key}.{shown}" if key else shown


def shown(value: Any) -> str:
    """`value` as a message quotes it: on one line, and not all of it if it is long."""
    text = printable(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
