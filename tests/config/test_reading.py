"""Configurations are read strictly, and every one that ships loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, max_skips
from rethink_fr.runs import config_file as configuration
from rethink_fr.runs.config_file import available_configs, changed_keys, load_config, save_config
from rethink_fr.systems import SYSTEMS
from tests.command_line import ROOT
from tests.training import toy


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_shipped_configuration_loads_and_names_its_command():
    assert {"quickstart", "rethink_512", "faces_64", "smoke_64"} <= set(available_configs())
    for name in available_configs():
        load_config(name)
        header = (configuration.CONFIG_DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")
        assert "rethink-fr train" in header.split("model:")[0]


def test_the_papers_configuration_holds_the_papers_figures():
    config = load_config("rethink_512")
    assert config.model == ModelConfig(512, 1.0, 4, 1024, "lgf", True, True)
    assert (config.optimizer.learning_rate, config.optimizer.beta_1, config.optimizer.beta_2) == (2.5e-3, 0.0, 0.99)
    assert config.training.global_batch == 32
    assert config.training.steps == 400 * 97_000 // 32
    assert config.objective.adversarial == 1.0
    assert config.objective.r1_gamma == 0.0
    assert config.objective.augment == "color,translation"
    assert config.degradation.blur_sigma == (0.2, 10.0)
    assert config.degradation.downscale == (1.0, 8.0)
    assert config.degradation.noise == (0.0, 15.0)
    assert config.degradation.jpeg_quality == (60, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {resoluton: 64}", "model.resoluton: no such key"),
        ("modle: {}", "modle: no such key"),
        ("model: 5", "model: expected a section"),
        ("model: {width: 2e-3}", r"model.width: expected float, got '2e-3' \(YAML reads it as text: write 2.0e-03\)"),
        ("model: {width: wide}", "model.width: expected float"),
        ("model: {width: .nan}", "model.width"),
        ("model: {quantize: 1}", "model.quantize: expected bool"),
        ("model: {n_skips: true}", "model.n_skips: expected int"),
        ("model: {resolution: 100}", "model.resolution: expected a power of two"),
        ("model: {resolution: 64, n_skips: 4}", "model.n_skips: expected 0 to 3 at 64 px, got 4"),
        ("model: {fusion: sum}", "model.fusion: expected one of lgf, add, concat"),
        ("degradation: {noise: [5, 1]}", "degradation.noise: expected"),
        ("degradation: {noise: [5]}", "degradation.noise: expected 2 numbers"),
        ("degradation: {jpeg_quality: [60.5, 100]}", "degradation.jpeg_quality: expected int"),
        ("degradation: {anisotropic: 0.5}", "degradation.anisotropic: expected 0, unless degradation.task is vqfr"),
        (
            "degradation: {task: vqfr, downscale: [0.1, 8]}",
            r"degradation.downscale: expected \[low, high\] within 0.25",
        ),
        ("degradation: {task: x4}", "degradation.task: expected one of blind, x8, x16, vqfr"),
        ("objective: {augment: 'color,flip'}", "objective.augment: expected a comma-separated choice"),
        ("objective: {adversarial: -1}", "objective.adversarial: expected at least 0"),
        ("training: {steps: 0}", "training.steps: expected at least 1"),
        ("training: {seed: -1}", "training.seed"),
        ("{optimizer: {decay_steps: 5}, training: {steps: 6}}", "optimizer.decay_steps: expected 0 or at least"),
        ("optimizer: {beta_2: 1.0}", "optimizer.beta_2: expected 0 or more, below 1"),
        ("- a\n- b", "expected sections"),
        ("model: {", "not valid YAML"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghij", "bcdefghijk")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"line 1: anchors and aliases \(&, \*\) are not taken here"),
        ("model: *other", "anchors and aliases"),
        ("<<: {model: {}}", r"merge keys \(<<\)"),
        ("model: !!python/object/apply:os.getcwd []", "line 1: tags"),
        ("[" * 30_000, "line 1: more than 16 levels of nesting"),
        ("- " * 30_000, "more than 16 levels of nesting"),
        ("model: {width: 0.5}\ntraining: {}\nmodel: {}", "line 3: the key model is there twice"),
        ("training: {seed: 1, seed: 2}", "line 1: the key seed is there twice"),
        ("training: {seed: 2001-99-99}", "month must be"),
        ("training: {seed: 0x" + "f" * 20_000 + "}", "a whole number of more than 64 bits"),
        ("training: {seed: " + "1" * 20_000 + "}", "not valid YAML"),
        ("? [a]\n: b", "unhashable key"),
        ("model: {}\n---\nmodel: {}", "another document"),
        ("#" * 70_000, "has 70,000 bytes, expected at most 65,536"),
        ("'a\\nb': 1", "no such key"),
        ("model: {width: '" + "x" * 20_000 + "'}", "model.width: expected float, got 'xxx"),
    ],
)
def test_yaml_that_explodes_or_hides_something_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(write(tmp_path, text))
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)
    if "valid YAML" in str(caught.value):
        assert str(caught.value).startswith(str(tmp_path / "config.yaml"))


def test_a_configuration_that_explodes_does_so_in_no_process(tmp_path):
    code = "import sys; from rethink_fr.runs.config_file import load_config; load_config(sys.argv[1], sys.argv[2:])"
    for arguments in ([str(write(tmp_path, LAUGHS))], ["smoke_64", f"model={LAUGHS}"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=10
        )
        assert "anchors and aliases" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("text", ["&a 1", "!!python/name:os.system x", "{a: 1, a: 2}", "[" * 1000, "{", "2001-99-99"])
def test_values_of_overrides_are_read_as_strictly(text):
    with pytest.raises(ConfigError, match="^training.seed: cannot read the value ") as caught:
        load_config("smoke_64", [f"training.seed={text}"])
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="quickstart"):
        load_config("no_such_configuration")


def test_overrides_apply_and_are_checked(tmp_path):
    path = write(tmp_path, "model: {width: 0.5}")
    assert load_config(path, ["model.width=0.25", "data.train=/photos"]).model.width == 0.25
    assert load_config(path, ["degradation.noise=[1, 2]"]).degradation.noise == (1.0, 2.0)
    assert load_config(path, ["objective.augment="]).objective.augment == ""  # switches augmentation off
    for override, message in (
        ("width", "expected key=value"),
        ("model.with=1", "model.with"),
        ("model.width.x=1", "is a value"),
        ("training.steps=", "training.steps: expected int, got ''"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(path, [override])


def test_saving_and_loading_gives_the_same_configuration(tmp_path):
    config = load_config("quickstart", ["training.seed=7", "objective.posterior.bands=[1, 2, 3]"])
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    assert configuration.changed_keys(ExperimentConfig(), config)


def test_skips_allowed_agree_with_the_networks():
    from rethink_fr.restorer.network import skip_resolutions

    for resolution in (32, 64, 512, 1024):
        assert len(skip_resolutions(resolution, max_skips(resolution))) == max_skips(resolution)
        with pytest.raises(ValueError, match="n_skips"):
            skip_resolutions(resolution, max_skips(resolution) + 1)


def test_an_unknown_architecture_lists_the_known_ones(tmp_path):
    for text in ("architecture: gan", "architecture: [vqfr]", "architecture: 5"):
        with pytest.raises(ConfigError, match="architecture: expected one of rethink.*, got"):
            load_config(write(tmp_path, text))
    with pytest.raises(ConfigError, match="architecture: expected one of rethink.*, got 'gan'"):
        load_config("smoke_64", ["architecture=gan"])


def test_a_file_without_architecture_is_the_restorers_and_is_saved_with_it(tmp_path):
    path = write(tmp_path, "model: {width: 0.5}")
    assert load_config(path).architecture == "rethink"
    save_config(load_config(path), path)
    assert "architecture: rethink" in path.read_text(encoding="utf-8")
    assert load_config(path).model.width == 0.5


def test_each_system_has_its_own_sections_and_checks(tmp_path, monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    path = write(tmp_path, "{architecture: toy, model: {channels: 1}, objective: {boundary: 7}}")
    config = load_config(path, ["training.steps=9"])
    assert (config.architecture, config.model.channels, config.training.steps) == ("toy", 1, 9)
    save_config(config, path)
    assert load_config(path) == config
    assert configuration.load_model_section(path) == ("toy", config.model)
    assert changed_keys(config, load_config(path, ["objective.boundary=8", "data.flip=0.25"])) == [
        "data.flip",
        "objective.boundary",
    ]
    assert changed_keys(config, load_config("smoke_64")) == ["architecture"]
    for text, message in (
        ("{architecture: toy, model: {width: 1.0}}", "model.width: no such key; known here: resolution, channels"),
        ("{architecture: toy, codebook: {}}", "codebook: no such key"),
        ("{architecture: toy, objective: {boundary: 0}}", "objective.boundary: expected at least 1, got 0"),
        ("{architecture: toy, training: {steps: 0}}", "training.steps: expected at least 1, got 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{architecture: gan, model: {}}", "architecture: expected one of rethink"),
        ("{architecture: toy, model: {chanels: 3}}", "model.chanels: no such key"),
        ("{architecture: toy, model: {chanels: 3}, training: {}}", "model.chanels: no such key"),
        ("{architecture: toy, objective: {boundary: 0}}", "objective.boundary: expected at least 1"),
    ],
)
def test_the_systems_settings_are_checked_without_tensorflow(tmp_path, text, message):
    code = (
        "import sys\n"
        "from rethink_fr.runs import config_file\n"
        "from rethink_fr.systems import SYSTEMS\n"
        "from tests.training import toy\n"
        "SYSTEMS['toy'] = toy.SYSTEM\n"
        "try: config_file.load_model_section(config_file.Path(sys.argv[1]))\n"
        "except config_file.ConfigError as error: print(error)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(write(tmp_path, text))], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert message in done.stdout
