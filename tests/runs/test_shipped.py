"""Trained networks that come with the package: written from a run, found by name, restored with."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.inference.loading import load_restorer
from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.restorer.system import build
from rethink_fr.runs import shipped
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average

SETTINGS = ModelConfig(resolution=32, width=1 / 16, n_skips=2, codebook_size=16, pixel_noise=True, residual=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, and its network."""
    folder = tmp_path_factory.mktemp("runs") / "faces"
    network = build(SETTINGS)
    network.update_codebooks(tf.random.stateless_uniform([4, 32, 32, 3], [0, 0], -1.0, 1.0))
    for variable in network.trainable_variables:
        variable.assign(variable + 0.1 * tf.random.stateless_normal(variable.shape, [1, 0]))
    save_average(folder / "checkpoints", network)
    save_model_section("rethink", SETTINGS, folder / "config.yaml")
    return folder, network


@pytest.fixture()
def models(tmp_path, monkeypatch):
    """The package's folder of models, empty."""
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    return tmp_path / "models"


def test_a_written_network_is_found_by_its_name_and_is_the_runs_to_half_precision(run, models, capsys):
    folder, network = run
    assert shipped.write_shipped(folder, models / "tiny", "For research.\n") == 0
    assert shipped.shipped_models() == ["tiny"]
    restorer = load_restorer("tiny")
    assert "for research only" in capsys.readouterr().err
    images = tf.random.stateless_uniform([2, 32, 32, 3], [2, 0], -1.0, 1.0)
    noise = tf.random.stateless_normal([2, *restorer.noise_shape], [3, 0])
    # Half precision keeps 11 bits of each weight. A feature between two codes may choose the other one: none did here.
    np.testing.assert_allclose(restorer(images, noise), network(images, noise).image, atol=0.02)
    assert (models / "tiny" / "card.md").read_text(encoding="utf-8") == "For research.\n"


def test_how_codes_are_learned_is_left_out(run, models):
    folder, network = run
    shipped.write_shipped(folder, models / "tiny", "")
    names = set(np.load(models / "tiny" / "weights.npz").files)
    assert len(names) == len(network.trainable_variables) + len(network.codebooks) + 1  # and the step
    assert not any("average" in name or "last_used" in name for name in names)


def test_weights_of_another_network_are_refused(run, models):
    folder, _ = run
    shipped.write_shipped(folder, models / "tiny", "")
    save_model_section("rethink", ModelConfig(resolution=32, width=1 / 32, n_skips=2), models / "tiny" / "config.yaml")
    with pytest.raises(ValueError, match="weights.npz: not the weights of this network; install the package again"):
        load_restorer("tiny")


def test_a_folder_of_the_users_comes_before_a_name_of_the_package(run, models, tmp_path, monkeypatch):
    folder, _ = run
    shipped.write_shipped(folder, models / "tiny", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    with pytest.raises(ValueError, match="tiny: no model here; expected .*comes with the package: tiny"):
        load_restorer("tiny")


def test_a_network_that_is_there_is_replaced_only_if_asked(run, models):
    folder, _ = run
    shipped.write_shipped(folder, models / "tiny", "first")
    with pytest.raises(ValueError):
        shipped.write_shipped(folder, models / "tiny", "second")
    shipped.write_shipped(folder, models / "tiny", "second", overwrite=True)
    assert (models / "tiny" / "card.md").read_text(encoding="utf-8") == "second"


def test_one_restoration_by_mini128_is_its_best_answer_and_several_are_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where no folder runs/ has a run of its name
    face = tmp_path / "face.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, [128, 128, 3], np.uint8)).save(face)

    def restored(*more):
        output = tmp_path / "_".join(["out", *more])
        assert main(["restore", str(face), "--aligned", "--output", str(output), *more]) == 0
        return json.loads((output / "report.json").read_text(encoding="utf-8")), output / "face.png"

    report, one = restored()
    _, answer = restored("--noise-scale", "0")
    assert report["noise_scale"] == 0.0 and one.read_bytes() == answer.read_bytes()
    assert restored("--samples", "2")[0]["noise_scale"] == 1.0
    assert "for research only" in capsys.readouterr().err
