"""Settings of training: what is published, and which values are refused before TensorFlow loads."""

import dataclasses

import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.runs.config_file import load_config
from rethink_fr.vqfr.settings import VQFRExperiment, check, check_files, perceptual_files, trained_branches
from tests.command_line import assert_train_refuses
from tests.vqfr.training.stages import codebook_stage, restoration_stage


@pytest.mark.parametrize(
    ("name", "stage", "version", "branches"),
    [
        ("vqfr_codebook_512", "codebook", 1, ("texture",)),
        ("vqfr2_codebook_512", "codebook", 2, ("texture",)),
        ("vqfr_512", "restoration", 1, ("texture", "main")),
        ("vqfr2_512", "restoration", 2, ("main",)),
        ("vqfr_codebook_64", "codebook", 1, ("texture",)),
        ("vqfr_64", "restoration", 1, ("texture", "main")),
    ],
)
def test_configurations_of_both_stages_and_versions_load(name, stage, version, branches):
    config = load_config(name)
    assert isinstance(config, VQFRExperiment)
    assert (config.stage, config.model.version) == (stage, version)
    assert trained_branches(config) == branches


def test_the_small_configurations_fit_together():
    first, second = load_config("vqfr_codebook_64").model, load_config("vqfr_64").model
    assert dataclasses.replace(first, network="vqfr") == second


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("vqfr_codebook_64", ["model.network=vqfr"], "model.network: expected vqgan in stage codebook, got 'vqfr'"),
        ("vqfr_64", ["stage=codebook"], "model.network: expected vqgan in stage codebook"),
        ("vqfr_64", ["stage=both"], "stage: expected one of codebook, restoration, got 'both'"),
        ("vqfr_64", ["model.version=3"], "model.version: expected one of 1, 2, got 3"),
        ("vqfr_64", ["model.levels=8"], "model.levels: expected 2 to 7, got 8"),
        ("vqfr_codebook_64", ["model.decoder=codes"], "model.decoder: expected parallel in stage codebook"),
        ("vqfr2_512", ["model.decoder=single"], "model.decoder: expected parallel or unwarped in version 2"),
        ("vqfr_64", ["model.resolution=48"], "model.resolution: expected a power of two, 32 to 1024, got 48"),
        ("vqfr_64", ["objective.main.l2=1"], "objective.main.l2: no such key"),
        ("vqfr_64", ["objective.main.l1=-1"], "objective.main.l1: expected at least 0, got -1"),
        (
            "vqfr_64",
            ["objective.vgg16=''"],
            "objective.vgg16: expected 'fetched', a file of VGG-16 and",
        ),
        ("vqfr_64", ["objective.main.l1=0"], "objective.main.l1: expected above 0 where there is no perceptual term"),
        ("vqfr_64", ["objective.adaptive_l1=false"], "objective.adaptive_l1: expected true where there is no"),
        ("vqfr_64", ["optimizer.main_branch.beta_1=1.0"], "optimizer.main_branch.beta_1: expected 0 or more, below 1"),
        ("vqfr_64", ["optimizer.milestones=[3, 2]"], "optimizer.milestones: expected steps in rising order"),
        ("vqfr_64", ["optimizer.milestones=[a]"], "optimizer.milestones: expected int, got 'a'"),
        ("vqfr_64", ["optimizer.milestones=5"], "optimizer.milestones: expected a list, got 5"),
        (
            "vqfr_codebook_64",
            ["codebook.reservoir=255", "model.codebook_size=256"],
            "codebook.reservoir: expected at least 256, got 255",
        ),
        (
            "vqfr_codebook_64",
            ["codebook.reestimate_every=1", "model.codebook_size=8192"],
            "codebook.reestimate_every: expected 2 or more, to have as many feature vectors as codes, got 1",
        ),
        ("vqfr_codebook_64", ["objective.codebook=0"], "objective.codebook: expected above 0"),
        ("vqfr2_512", ["objective.code_prediction=0"], "objective.code_prediction: expected above 0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(name, overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(name, overrides)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_the_helpers_of_these_tests_describe_is_accepted():
    for version in (1, 2):
        check(codebook_stage(version))
        check(restoration_stage(version))


def test_stage_2_without_a_run_to_start_from_says_what_to_do():
    with pytest.raises(ConfigError, match="training.init: stage restoration starts from .* --init RUN_DIR"):
        check_files(restoration_stage())
    objective = dataclasses.replace(codebook_stage().objective, vgg16="/no/such.npz")
    with pytest.raises(ConfigError, match="objective.vgg16: no file /no/such.npz"):
        check_files(codebook_stage(objective=objective))


def test_perceptual_weights_that_were_not_fetched_are_missed_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path))
    experiment = codebook_stage(objective=dataclasses.replace(codebook_stage().objective, vgg16="fetched"))
    with pytest.raises(ConfigError, match="vgg16: no file .*vgg16.* run `rethink-fr weights fetch lpips-vgg`"):
        check_files(experiment)
    assert len(perceptual_files("fetched")) == 2 and perceptual_files("none") == []
    for path in perceptual_files("fetched"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    check_files(experiment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "vqfr_64", "--set", "model.with=1"], "model.with: no such key"),
        (["--config", "vqfr_64", "--set", "data.train=builtin"], "training.init: stage restoration starts from"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_tensorflow_loads(tmp_path, arguments, message):
    assert_train_refuses(tmp_path / "run", arguments, message)
