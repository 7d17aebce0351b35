"""What an experiment is: its YAML file, read strictly, at the paper's setting or as the miniature beside it.

Nothing here imports TensorFlow, so that a wrong key or value is reported within milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import yaml

from rethink_fr.config.checks import Checks, ConfigError
from rethink_fr.config.parsing import join, parse, shown
from rethink_fr.config.sections import Experiment
from rethink_fr.config.strict_yaml import read_yaml
from rethink_fr.evaluation.choosing import named_metrics
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.runs.config_file import CONFIG_DIRECTORY, load_config, yaml_file

EXPERIMENTS = CONFIG_DIRECTORY / "experiments"
_NOTHING = "none"  # as the value of `start`: a variant that starts from nothing although the others start from a run
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")  # safe as the name of a folder
# Settings that other parts of the file, or of the call, decide.
_DECIDED = {
    "data.train": "by --train",
    "data.validation": "by --train",
    "training.steps": "by budget",
    "training.seed": "by seeds",
    "training.init": "by start",
    "training.teacher": "by start",
}


@dataclass(frozen=True)
class Budget:
    """How long each run is trained: a number of steps, or minutes of wall-clock time of the `train` command.

    By time a run ends at its configuration's last step if that comes first.
    """

    steps: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Start:
    """A run for each seed that is trained first, from which variants start."""

    config: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget = Budget()


@dataclass(frozen=True)
class Measure:
    """What is measured: metrics as `evaluate --metrics` names them, () for all; samples of each picture; neighbours."""

    metrics: Tuple[str, ...] = ()
    draws: int = 0
    k: int = 4


@dataclass(frozen=True)
class Restore:
    """How a variant answers: the scale of its noise, and the fidelity of VQFR version 2."""

    noise_scale: float = 0.0
    fidelity: Optional[float] = None


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str = ""
    label: str = ""
    config: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)
    start: Optional[Start] = None
    run_of: str = ""
    restore: Restore = Restore()
    paper: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """An experiment at one of its two settings. Every variant has its label, configuration and start filled in."""

    title: str = ""
    source: str = ""
    config: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)
    start: Optional[Start] = None
    budget: Budget = Budget()
    seeds: Tuple[int, ...] = ()
    measure: Measure = Measure()
    variants: Tuple[Variant, ...] = ()
    compare_to: str = ""

    def variant(self, name: str) -> Variant:
        """The variant of this name."""
        return next(one for one in self.variants if one.name == name)

    def overrides(self, variant: Variant) -> List[str]:
        """What changes in the variant's configuration, as `train --set` takes it."""
        return overrides({**self.set, **variant.set})


def available_experiments() -> List[str]:
    """The names of the experiments that come with the package."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def experiment_path(name_or_path: str) -> Path:
    """The file of an experiment: of one that comes with the package by its name, or any `.yaml` file.

    Raises:
        ConfigError: if there is none.
    """
    path = yaml_file(name_or_path, EXPERIMENTS)
    if path is None:
        raise ConfigError(
            f"no experiment {shown(name_or_path)}: expected a .yaml file or one of "
            f"{', '.join(available_experiments())}; `rethink-fr experiment --list` says what they are"
        )
    return path


def load_definition(path: Path, miniature: bool = False) -> Definition:
    """Read an experiment's file.

    Args:
        path: of the file.
        miniature: take the setting for two cores that stands beside the paper's.

    Raises:
        ConfigError: naming the key, its value and what was expected. Every configuration is read and checked, too.
    """
    try:
        values = read_yaml(path) or {}
    except UnreadableFile as error:
        raise ConfigError(str(error)) from None
    try:
        if not isinstance(values, dict):
            raise ConfigError(f"expected keys such as 'title:' at the top, got {type(values).__name__}")
        small = values.pop("miniature", None)
        if miniature:
            if small is None:
                raise ConfigError("miniature: this experiment has none; leave --miniature out")
            values = _merged(values, small)
        definition = _filled(parse(Definition, _without_none(values), ""), path.parent)
        _check(definition)
        return definition
    except ConfigError as error:
        raise ConfigError(f"{printable(path)}: {error}") from None


def overrides(settings: Mapping[str, Any]) -> List[str]:
    """Settings as `train --set` takes them: `key=value`, the value written as YAML reads it."""
    return [f"{key}={_as_yaml(value)}" for key, value in settings.items()]


def _as_yaml(value: Any) -> str:
    text: str = yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True)
    return text.strip()[1:-1]


def _merged(values: Mapping[str, Any], small: Any) -> Dict[str, Any]:
    """The values of a file with its miniature's in place of them; see docs/experiments.md."""
    if not isinstance(small, dict):
        raise ConfigError(f"miniature: expected a section, got {shown(small)}")
    merged = dict(values)
    for key, value in small.items():
        if key in ("set", "measure"):
            merged[key] = _section(values.get(key), value, f"miniature.{key}")
        elif key == "variants" and isinstance(value, dict):
            merged[key] = _changed_variants(values.get(key), value)
        else:
            merged[key] = value
    return merged


def _section(old: Any, new: Any, key: str) -> Dict[str, Any]:
    """A mapping with another one over it; a key that is null in that one is taken out."""
    if not isinstance(new, dict) or not isinstance({} if old is None else old, dict):
        raise ConfigError(f"{key}: expected keys and values, got {shown(new)}")
    return {name: value for name, value in {**(old or {}), **new}.items() if value is not None}


def _changed_variants(variants: Any, changes: Mapping[Any, Any]) -> List[Any]:
    by_name = {one.get("name"): one for one in variants or () if isinstance(one, dict)}
    for name, change in changes.items():
        key = join("miniature.variants", name)
        if name not in by_name:
            raise ConfigError(f"{key}: no such variant; known here: {', '.join(map(str, by_name))}")
        if change is None:
            del by_name[name]
        elif not isinstance(change, dict) or "name" in change:
            raise ConfigError(f"{key}: expected the keys that change in this variant, or null, got {shown(change)}")
        else:
            one = {**by_name[name], **change}
            if "set" in change:
                one["set"] = _section(by_name[name].get("set"), change["set"], f"{key}.set")
            by_name[name] = {inner: value for inner, value in one.items() if value is not None}
    return list(by_name.values())


def _without_none(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The same with `start: none` written as a section."""
    filled = {key: _start(value) if key == "start" else value for key, value in values.items()}
    if isinstance(filled.get("variants"), list):
        filled["variants"] = [
            {key: _start(value) if key == "start" else value for key, value in one.items()}
            if isinstance(one, dict)
            else one
            for one in filled["variants"]
        ]
    return filled


def _start(value: Any) -> Any:
    return {"config": _NOTHING} if value == _NOTHING else value


def _filled(definition: Definition, folder: Path) -> Definition:
    """The definition with everything that stands in it once, for all variants, said for each of them."""

    def config(given: str) -> str:
        near = folder / given
        return str(near) if given.endswith((".yaml", ".yml")) and near.is_file() else given

    def start(given: Optional[Start], otherwise: Optional[Start]) -> Optional[Start]:
        if given is None:
            return otherwise
        return None if given.config == _NOTHING else replace(given, config=config(given.config), set=given.set)

    of_all = start(definition.start, None)
    variants = tuple(
        replace(
            one,
            label=one.label or one.name,
            config=config(one.config or definition.config),
            start=start(one.start, of_all),
        )
        for one in definition.variants
    )
    first = variants[0].name if variants else ""
    return replace(
        definition,
        config=config(definition.config),
        start=of_all,
        variants=variants,
        compare_to=definition.compare_to or first,
    )


def _check(definition: Definition) -> None:
    checks = Checks(definition)
    for key in ("title", "source", "config"):
        checks.require(bool(checks.value(key).strip()), key, "some text")
    checks.require(bool(definition.variants), "variants", "a list of one or more")
    checks.require(bool(definition.seeds), "seeds", "a list of one or more")
    checks.require(len(set(definition.seeds)) == len(definition.seeds), "seeds", "each once")
    checks.within("seeds", 0, 2**31 - 1)
    checks.within("measure.k", 1, 1000)
    checks.within("measure.draws", 0, 100)
    checks.require(definition.measure.draws != 1, "measure.draws", "0, or 2 or more")
    if definition.measure.metrics:
        try:
            named_metrics(definition.measure.metrics, "ours")
        except ValueError as error:
            raise ConfigError(str(error).replace("--metrics", "measure.metrics", 1)) from None
    _check_budget(definition.budget, "budget")
    _check_settings(definition.set, "set")
    names = [one.name for one in definition.variants]
    for number, one in enumerate(definition.variants):
        if not _NAME.fullmatch(one.name):
            raise ConfigError(
                f"variants[{number}].name: expected a letter or digit and then letters, digits, '-', '_' or '.', at "
                f"most 60, got {shown(one.name)}"
            )
        _check_variant(definition, one, f"variants.{one.name}", names)
    checks.require(len({name.lower() for name in names}) == len(names), "variants", "different names for all")
    checks.require(definition.compare_to in names, "compare_to", f"one of {', '.join(names)}")


def _check_variant(definition: Definition, variant: Variant, key: str, names: Sequence[str]) -> None:
    _check_settings(variant.set, f"{key}.set")
    for name, figure in variant.paper.items():
        if isinstance(figure, bool) or not isinstance(figure, (int, float, str)) or len(str(figure)) > 40:
            raise ConfigError(f"{key}.paper.{printable(name)}: expected a number or a short text, got {shown(figure)}")
    scale, fidelity = variant.restore.noise_scale, variant.restore.fidelity
    for name, number in (("noise_scale", scale), ("fidelity", 0.0 if fidelity is None else fidelity)):
        if not 0 <= number <= 1:
            raise ConfigError(f"{key}.restore.{name}: expected 0 to 1, got {number}")
    if variant.run_of:
        if variant.run_of not in names or definition.variant(variant.run_of).run_of or variant.set:
            raise ConfigError(
                f"{key}.run_of: expected the name of a variant that is trained, and no set beside it, got "
                f"{shown(variant.run_of)}"
            )
    if variant.start is not None:
        if not variant.start.config:
            raise ConfigError(f"{key}.start.config: expected a configuration, or `start: none`")
        _check_settings(variant.start.set, f"{key}.start.set")
        _check_budget(variant.start.budget, f"{key}.start.budget")
        _resolved(variant.start.config, overrides(variant.start.set), f"{key}.start")
    _resolved(variant.config, definition.overrides(variant), key)


def _resolved(config: str, settings: Sequence[str], key: str) -> Experiment:
    try:
        return load_config(config, settings)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def _check_settings(settings: Mapping[str, Any], key: str) -> None:
    for name, value in settings.items():
        if name in _DECIDED:
            raise ConfigError(f"{key}.{name}: is decided {_DECIDED[name]}; leave it out")
        if isinstance(value, dict) or value is None:
            raise ConfigError(f"{join(key, name)}: expected a value of a key such as model.width, got {shown(value)}")


def _check_budget(budget: Budget, key: str) -> None:
    given = [budget.steps != 0, budget.minutes != 0]
    if sum(given) != 1 or not 0 <= budget.steps <= 10**9 or not 0 <= budget.minutes <= 10**6:
        raise ConfigError(f"{key}: expected steps or minutes, one of them and above 0")
