"""Codes of a trained network as features of `evaluate`."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.evaluation.networks.codes import CodeNetwork
from rethink_fr.metrics import code_usage
from rethink_fr.pictures.files import write_image
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.vqfr.settings import VQFRSettings
from rethink_fr.vqfr.system import build

SETTINGS = VQFRSettings("vqgan", 1, resolution=32, width=0.25, levels=2, codebook_size=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory of a small VQGAN with codes that are told apart, and the network itself."""
    folder = tmp_path_factory.mktemp("codes") / "run"
    folder.mkdir()
    tf.random.set_seed(0)
    network = build(SETTINGS)
    features = network.select_codes(images.to_model(pictures(1))).features
    network.codebook.assign(tf.reshape(features, [-1, features.shape[-1]])[::16])
    save_model_section("vqfr", SETTINGS, folder / "config.yaml")
    save_average(folder / "checkpoints", network)
    return folder, network


def pictures(count, side=32):
    return np.random.default_rng(0).integers(0, 256, [count, side, side, 3], dtype=np.uint8)


def test_indices_are_those_of_the_network(run):
    folder, network = run
    codes = CodeNetwork(folder)
    found = codes(pictures(3))
    expected = network.code_indices(images.to_model(pictures(3))).numpy()
    assert found.dtype == np.float32 and found.shape == (3, 16 * 16)
    np.testing.assert_array_equal(found, expected.reshape(3, -1))
    assert codes.codebook_size == 16 and len(codes.sha256) == 64
    with pytest.raises(ValueError, match="16 x 16 pixels, codes of run expects 32 x 32"):
        codes(pictures(1, 16))


def test_evaluate_measures_the_usage_of_a_run(run, tmp_path, capsys):
    folder, network = run
    for number, picture in enumerate(pictures(4)):
        for where in ("a", "b"):
            write_image(tmp_path / where / f"{number}.png", picture)
    arguments = ["evaluate", "--restored", str(tmp_path / "a"), "--reference", str(tmp_path / "b"), "--codes"]
    output = str(tmp_path / "report.json")
    also = ["--table", str(tmp_path / "table.tex"), "--html", str(tmp_path / "page.html")]
    assert main([*arguments, str(folder), "--metrics", "code_usage,code_perplexity", "--output", output, *also]) == 0
    assert "Codes used" in (tmp_path / "table.tex").read_text() and "Codes used" in (tmp_path / "page.html").read_text()
    found = json.loads(Path(output).read_text())["metrics"]
    usage = code_usage(network.code_indices(images.to_model(pictures(4))).numpy(), 16)
    assert usage.share > 0.5
    assert found["code_usage"]["restored"]["value"] == usage.share
    assert found["code_perplexity"]["restored"]["value"] == usage.perplexity
    assert main([*arguments, str(tmp_path / "nothing")]) == 2
    assert "expected the one of --codes" in capsys.readouterr().err


def test_without_a_run_the_usage_is_missing(tmp_path, capsys):
    write_image(tmp_path / "a.png", pictures(1)[0])
    arguments = ["evaluate", "--restored", str(tmp_path), "--reference", str(tmp_path)]
    assert main([*arguments, "--metrics", "code_usage"]) == 1
    assert "code_usage: needs a codebook; add --codes RUN_DIR" in capsys.readouterr().err
