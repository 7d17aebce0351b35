"""Experiment configuration: frozen dataclasses, and the one function that reads YAML.

Nothing here imports TensorFlow, so that a wrong key or value is refused in milliseconds. Only `workflows` and `cli`
import this module: layers and models take plain keyword arguments.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Mapping, Sequence, Tuple

import yaml

from rethink_fr.types import DegradationRanges

_PACKAGE = Path(__file__).parent
# An installed package carries the folder inside; a checkout has it beside the package.
CONFIG_DIRECTORY = next(
    (path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()), _PACKAGE / "configs"
)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what was expected."""


@dataclass(frozen=True)
class ModelConfig:
    """The restorer. `n_skips` counts skip blocks from 8x8 upward (at 8, 16, 32, ... 2^(n_skips + 2))."""

    resolution: int = 512
    width: float = 1.0
    n_skips: int = 4
    codebook_size: int = 1024
    fusion: Literal["lgf", "add", "concat"] = "lgf"
    quantize: bool = True
    noise: bool = True
    codebook_decay: float = 0.99
    codebook_reseed_after: int = 200  # steps without use before a code is re-seeded; 0 turns re-seeding off


@dataclass(frozen=True)
class DataConfig:
    """Where clean images come from: `builtin` (drawn faces), a folder of images, or a folder of TFRecord files.

    `validation` may also be `holdout`: `validation_images` pictures are then taken out of the training set.
    """

    train: str = "builtin"
    validation: str = "builtin"
    validation_images: int = 64
    builtin_identities: int = 500
    builtin_pictures: int = 6  # per identity
    flip: float = 0.5  # probability
    color_jitter: float = 0.0  # strength 0..1
    workers: int = 0  # parallel image readers; 0 lets tf.data choose


@dataclass(frozen=True)
class DegradationConfig(DegradationRanges):
    """Eq. 13 ranges for `blind`; the super-resolution tasks `x8` and `x16` use bicubic reduction only."""

    task: Literal["blind", "x8", "x16"] = "blind"


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of Eq. 7 and of the discriminator's side. The five perceptual weights go with conv1_2 ... conv5_4."""

    adversarial: float = 1.0  # alpha
    l1: float = 1.0
    commitment: float = 1.0
    vgg19: str = "imagenet"  # "imagenet" (Keras' download), a path to Keras VGG-19 weights (.h5), or "none"
    feature: Tuple[float, float, float, float, float] = (1e-6, 1e-6, 1e-6, 1e-6, 1e-6)
    style: Tuple[float, float, float, float, float] = (1e-6, 1e-6, 1e-6, 1e-6, 1e-6)
    augment: str = "color,translation"  # DiffAugment policy; "" turns it off
    r1_gamma: float = 0.0
    r1_interval: int = 16


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam (Appendix A of the paper), for both networks."""

    learning_rate: float = 2.5e-3
    beta_1: float = 0.0
    beta_2: float = 0.99
    epsilon: float = 1e-8
    decay_steps: int = 0  # steps over which the learning rate falls to 0 along half a cosine; 0: constant


@dataclass(frozen=True)
class TrainingConfig:
    """Length and rhythm of a run. All intervals are in steps."""

    steps: int = 1_212_500  # 400 epochs of 97,000 images at batch 32
    global_batch: int = 32
    seed: int = 0
    average_decay: float = 0.999  # of the generator's average
    log_every: int = 100
    sample_every: int = 2000
    validate_every: int = 5000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3
    logical_cpus: int = 0  # split the CPU in this many devices, to try `mirrored` without GPUs


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run; written to `config.yaml` beside its checkpoints."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def available_configs() -> list[str]:
    """Names of the configurations that are installed with the package."""
    return sorted(path.stem for path in CONFIG_DIRECTORY.glob("*.yaml"))


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a configuration by installed name or by path, apply `key=value` overrides, check it.

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
    config = _parse(ExperimentConfig, values, "")
    check_config(config)
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
    check_config(config)
    return config.degradation


def save_config(config: ExperimentConfig, path: Path) -> None:
    """Write the resolved configuration so that `load_config` gives the same one back."""
    path.write_text(yaml.safe_dump(_plain(config), sort_keys=False, default_flow_style=None), encoding="utf-8")


def load_model_section(path: Path, sections: Mapping[str, type]) -> Tuple[str, Any]:
    """What kind of network a run directory's `config.yaml` is about, and its `model` section.

    A run of `train` has no key `architecture`: it is the stochastic restorer ("rethink").

    Args:
        path: the file.
        sections: the dataclass of the `model` section for each architecture.

    Raises:
        ConfigError: as `load_config`.
    """
    values = _read_yaml(path)
    architecture = values.get("architecture", "rethink") if isinstance(values, dict) else "rethink"
    if architecture not in sections:
        raise ConfigError(f"{path}: architecture: expected one of {', '.join(sections)}, got {architecture!r}")
    if architecture == "rethink":
        return architecture, load_config(path).model
    return architecture, _parse(sections[architecture], values.get("model", {}), "model")


def save_model_section(architecture: str, settings: Any, path: Path) -> None:
    """Write the `config.yaml` of a network that was not trained here, for `load_model_section`."""
    values = {"architecture": architecture, "model": _plain(settings)}
    path.write_text(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), encoding="utf-8")


def changed_keys(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Dotted keys in which two configurations differ."""
    return [
        f"{section.name}.{key.name}"
        for section in dataclasses.fields(ExperimentConfig)
        for key in dataclasses.fields(getattr(new, section.name))
        if getattr(getattr(old, section.name), key.name) != getattr(getattr(new, section.name), key.name)
    ]


def max_skips(resolution: int) -> int:
    """Skip blocks stand at 8 ... resolution / 2, one an octave."""
    return resolution.bit_length() - 4


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {key.name: _plain(getattr(value, key.name)) for key in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _apply_override(values: dict, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: expected key=value, for example model.width=0.5")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{key}: cannot read the value {text!r}") from None
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key}: {section!r} is a value, not a section")
        values = inner
    values[last] = value


def _parse(kind: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `kind`, or a ConfigError that names `key`."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a section, got {value!r}")
        hints = typing.get_type_hints(kind)
        names = [name.name for name in dataclasses.fields(kind)]
        for name in value:
            if name not in names:
                raise ConfigError(f"{_join(key, name)}: no such key; known here: {', '.join(names)}")
        return kind(**{name: _parse(hints[name], inner, _join(key, name)) for name, inner in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
            raise ConfigError(f"{key}: expected {len(arguments)} numbers, got {value!r}")
        return tuple(_parse(inner, item, key) for inner, item in zip(arguments, value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = ""
        if kind is float and isinstance(value, str) and _is_number(value):
            hint = f" (YAML reads it as text: write {float(value):.1e})"
        raise ConfigError(f"{key}: expected {kind.__name__}, got {value!r}{hint}")
    return value


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_config(config: ExperimentConfig) -> None:
    """Refuse values that have the right type but cannot work together."""
    model, data, degradation = config.model, config.data, config.degradation
    objective, optimizer, training = config.objective, config.optimizer, config.training

    def require(condition: bool, key: str, expected: str) -> None:
        if not condition:
            section, name = key.split(".")
            raise ConfigError(f"{key}: expected {expected}, got {getattr(getattr(config, section), name)!r}")

    def finite_at_least(key: str, low: float, high: float = 1e12) -> None:
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        values = value if isinstance(value, tuple) else (value,)
        expected = f"at least {low:g}" if high == 1e12 else f"{low:g} to {high:g}"
        require(all(low <= item <= high for item in values), key, expected)

    resolution = model.resolution
    power_of_two = resolution & (resolution - 1) == 0
    require(32 <= resolution <= 1024 and power_of_two, "model.resolution", "a power of two, 32 to 1024")
    finite_at_least("model.width", 1 / 32, 8)
    require(
        0 <= model.n_skips <= max_skips(resolution), "model.n_skips", f"0 to {max_skips(resolution)} at {resolution} px"
    )
    finite_at_least("model.codebook_size", 2, 1 << 20)
    require(0 <= model.codebook_decay < 1, "model.codebook_decay", "0 or more, below 1")
    finite_at_least("model.codebook_reseed_after", 0)
    for key in ("flip", "color_jitter"):
        finite_at_least(f"data.{key}", 0, 1)
    for key in ("validation_images", "builtin_identities", "builtin_pictures"):
        finite_at_least(f"data.{key}", 1)
    finite_at_least("data.workers", 0, 1024)
    require(bool(data.train) and data.train != "holdout", "data.train", "'builtin' or a path")
    require(bool(data.validation), "data.validation", "'builtin', 'holdout' or a path")
    for key, low, high in (
        ("blur_sigma", 0.0, 100.0),
        ("downscale", 1.0, 64.0),
        ("noise", 0.0, 255.0),
        ("jpeg_quality", 1, 100),
    ):
        first, last = getattr(degradation, key)
        require(low <= first <= last <= high, f"degradation.{key}", f"[low, high] within {low:g} to {high:g}")
    for key in ("adversarial", "l1", "commitment", "feature", "style", "r1_gamma"):
        finite_at_least(f"objective.{key}", 0)
    finite_at_least("objective.r1_interval", 1)
    policies = [policy for policy in objective.augment.split(",") if policy]
    require(
        all(policy in ("color", "translation", "cutout") for policy in policies),
        "objective.augment",
        "a comma-separated choice of color, translation, cutout, or ''",
    )
    require(bool(objective.vgg19), "objective.vgg19", "'imagenet', 'none' or a path to an .h5 file")
    finite_at_least("optimizer.learning_rate", 0, 10)
    finite_at_least("optimizer.epsilon", 0, 1)
    for key in ("beta_1", "beta_2"):
        require(0 <= getattr(optimizer, key) < 1, f"optimizer.{key}", "0 or more, below 1")
    require(
        optimizer.decay_steps == 0 or optimizer.decay_steps >= training.steps,
        "optimizer.decay_steps",
        f"0 or at least training.steps ({training.steps})",
    )
    require(0 <= training.average_decay < 1, "training.average_decay", "0 or more, below 1")
    for key in ("steps global_batch log_every sample_every validate_every checkpoint_every keep_checkpoints").split():
        finite_at_least(f"training.{key}", 1)
    finite_at_least("training.logical_cpus", 0, 64)
    finite_at_least("training.seed", 0, 2**31 - 1)
