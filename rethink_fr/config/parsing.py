"""Turns the values of YAML and `--set` into frozen dataclasses, with errors that name the key.

Our own lines rather than a library (tried on our sections): pydantic and cattrs take the text '2e-3' as a number by
default, pydantic and msgspec pass over unknown keys of a dataclass, dacite refuses lists for tuples; and importing and
checking costs 0.06 s of processor time, as with msgspec or dacite, while pydantic 2.14 costs 0.16 s.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import typing
from types import SimpleNamespace
from typing import Any, Dict, Literal, Mapping, Sequence, Union

from rethink_fr.config.checks import ConfigError, check_degradation
from rethink_fr.config.sections import DegradationConfig
from rethink_fr.config.strict_yaml import YamlTextError, parse_yaml
from rethink_fr.files.names import printable


def load_degradation(overrides: Sequence[str], task: str) -> DegradationConfig:
    """Make the section `degradation` alone, from its defaults and overrides.

    Args:
        overrides: `key=value` each; keys are those of the section, without its name.
        task: for the key of that name, unless it is overridden.

    Raises:
        ConfigError: as `parse`, or if the values cannot be meant.
    """
    values: Dict[str, Any] = {"task": task}
    for override in overrides:
        apply_override(values, override)
    config: DegradationConfig = parse(DegradationConfig, values, "degradation")
    check_degradation(SimpleNamespace(degradation=config))
    return config


def parse(kind: Any, value: Any, key: str) -> Any:
    """Turn a value as YAML gives it into a value of an annotated type.

    Keys that are not given keep their defaults. Nothing is converted but lists to tuples and whole numbers to `float`.

    Args:
        kind: a frozen dataclass for a section, or the annotation of one of its fields.
        value: what YAML gives.
        key: the dotted path of the value, for errors; "" for the whole file.

    Raises:
        ConfigError: naming the key, the value and what was expected.

    Example:
        >>> from rethink_fr.config.sections import TrainingConfig
        >>> parse(TrainingConfig, {"steps": 500}, "training").steps
        500
        >>> parse(TrainingConfig, {"step": 500}, "training")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        rethink_fr.config.checks.ConfigError: training.step: no such key; known here: steps, global_batch, ...
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
    if kind is Any:
        return value
    if origin is Union:  # Optional[...]: nothing stands for None, so a key that has none is left out of the file
        return parse(arguments[0], value, key)
    if origin is collections.abc.Mapping:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"{key}: expected keys and values, got {shown(value)}")
        return {name: parse(arguments[1], inner, join(key, name)) for name, inner in value.items()}
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


def apply_override(values: Dict[str, Any], override: str) -> None:
    """Put one `section.key=value` into the nested dictionaries of a configuration; the value is read as YAML.

    Raises:
        ConfigError: if the override is not of that form, or its value is not YAML.

    Example:
        >>> values = {"model": {"width": 1.0}}
        >>> apply_override(values, "training.seed=3")
        >>> values
        {'model': {'width': 1.0}, 'training': {'seed': 3}}
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {shown(override)}: expected key=value, for example model.width=0.5")
    try:
        value = parse_yaml(text) if text.strip() else ""  # for YAML nothing is null, which no setting is
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
    """Turn a frozen dataclass into nested dictionaries and lists, which YAML can write: `parse` undone."""
    if dataclasses.is_dataclass(value):
        return {key.name: plain(getattr(value, key.name)) for key in dataclasses.fields(value)}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def join(key: str, name: Any) -> str:
    """Return the dotted path of `name` within `key`, which is "" for the whole file."""
    shown = printable(str(name))
    return f"{key}.{shown}" if key else shown


def shown(value: Any) -> str:
    """Quote `value` for a message: on one line, and cut off after 80 characters."""
    text = printable(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
