"""Both stages from the command line, on drawn faces, and what can be done with the result."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.config.checks import ConfigError
from rethink_fr.files.checksums import file_sha256
from rethink_fr.training.initialise import StartingRun
from rethink_fr.vqfr.published_weights import official_weights
from rethink_fr.vqfr.settings import VQFRSettings, perceptual_files
from rethink_fr.vqfr.system import build
from rethink_fr.vqfr.system import task as make_task
from rethink_fr.vqfr.training.build_task import load_perceptual
from rethink_fr.vqfr.training.initialise import initialise
from rethink_fr.weights.known import KNOWN_WEIGHTS
from tests.command_line import ROOT
from tests.vgg16_weights import vgg16_arrays
from tests.vqfr.training.stages import codebook_stage, restoration_stage

TINY = [
    "model.resolution=32", "model.width=0.03125", "model.levels=2", "model.codebook_size=16",
    "discriminator.width=0.03125", "discriminator.patch_layers=1",
    "data.train=builtin", "data.validation=builtin", "data.builtin_identities=6", "data.builtin_pictures=2",
    "data.validation_images=4", "training.global_batch=4", "training.log_every=1", "training.sample_every=2",
    "training.validate_every=2", "training.checkpoint_every=2",
]  # fmt: skip
# One phase, hence one graph: k-means after every step.
CODEBOOK = ["codebook.quantize_from=0", "codebook.reestimate_every=1", "codebook.reestimate_until=4"]


def command(*arguments: str) -> subprocess.CompletedProcess:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "rethink_fr", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=900,
    )


def settings(*more: str) -> list:
    return [part for value in (*TINY, *more) for part in ("--set", value)]


def records(run: Path) -> list:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def stage_1(tmp_path_factory) -> Path:
    """A finished run of stage 1."""
    output = tmp_path_factory.mktemp("vqfr") / "codebook"
    texture = ["objective.texture.adversarial_from=0", "training.steps=3"]
    done = command(
        "train", "--config", "vqfr_codebook_64", "--output", str(output), *settings(*CODEBOOK, *texture)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "faces it was not trained on: reconstructed" in done.stdout
    assert "Traceback" not in done.stderr
    return output


def test_stage_1_logs_its_losses_and_the_codebook(stage_1):
    rows = [row for row in records(stage_1) if "loss/texture_l1" in row]
    assert [row["step"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["loss/codebook"] > 0 and 0 < row["codebook/usage"] <= 1 <= row["codebook/perplexity"] <= 16
    assert np.asarray(Image.open(stage_1 / "samples" / "final.png")).shape[2] == 3


@pytest.mark.slow
def test_stage_2_from_stage_1_restores_and_exports(stage_1, tmp_path):
    run = tmp_path / "run"
    starts = ["objective.texture.adversarial_from=0", "objective.main.adversarial_from=0"]
    arguments = ["train", "--config", "vqfr_64", "--output", str(run), "--init", str(stage_1)]
    done = command(*arguments, *settings(*starts, "training.steps=2"))
    assert done.returncode == 0, done.stderr
    assert "generator (without inpfeat_extraction, main_decoder), teacher" in done.stderr
    assert {row["step"] for row in records(run)} == {1, 2}
    (tmp_path / "faces").mkdir()
    Image.fromarray(np.full([32, 32, 3], 90, np.uint8)).save(tmp_path / "faces" / "grey.png")
    done = command(
        "restore", str(tmp_path / "faces"), "--output", str(tmp_path / "restored"), "--model", str(run), "--aligned"
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pictures restored" in done.stdout
    done = command("export", "--model", str(run), "--format", "saved_model", "--output", str(tmp_path / "saved"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


def test_stage_2_takes_stage_1s_weights_for_generator_and_teacher(stage_1):
    task = make_task(restoration_stage(1))
    run = StartingRun(stage_1)
    initialise(task, run)
    theirs = {name: weight.variable.numpy() for name, weight in official_weights(run.network).items()}
    for network in (task.generator, task.teacher):
        ours = {name: weight.variable.numpy() for name, weight in official_weights(network).items()}
        common = [name for name in ours if name in theirs]
        assert {name.split(".")[0] for name in common} >= {"encoder", "quantizer"}
        for name in common:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        fresh = {name.split(".")[0] for name in ours if name not in theirs}
        assert fresh == ({"inpfeat_extraction", "main_decoder"} if network is task.generator else set())


class Converted:
    """A `SourceRun` without anything but a network, as published weights are."""

    def __init__(self, settings: VQFRSettings) -> None:
        self.settings = settings
        self.network = build(settings)

    def start(self, task) -> list:
        task.generator.set_weights(self.network.get_weights())
        return ["generator"]

    def load(self, saved) -> list:
        return []


@pytest.mark.parametrize("version", [1, 2])
def test_fine_tuning_of_a_converted_network_makes_its_own_encoder_the_teacher(version):
    task = make_task(restoration_stage(version))
    run = Converted(restoration_stage(version).model)
    assert initialise(task, run) == ["generator", "teacher"]
    images = tf.random.uniform([2, 32, 32, 3], -1, 1)
    # Of its own features: the nearest codes.
    features = run.network.select_codes(images).features
    np.testing.assert_allclose(task.teacher(images).features, features, atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_a_converted_network_is_tuned_with_the_converted_codebook_network_as_teacher(version):
    task = make_task(restoration_stage(version))
    run = Converted(restoration_stage(version).model)
    teacher = Converted(codebook_stage(version).model)
    with pytest.raises(ConfigError, match="training.teacher: its codebook is another one than that of training.init"):
        initialise(task, run, teacher)
    with pytest.raises(ConfigError, match="training.teacher: that run is of stage restoration"):
        initialise(task, run, run)
    teacher.network.codebook.assign(run.network.codebook)
    assert initialise(task, run, teacher) == ["generator", "teacher"]
    images = tf.random.uniform([2, 32, 32, 3], -1, 1)
    theirs, own = teacher.network.select_codes(images).features, run.network.select_codes(images).features
    np.testing.assert_allclose(task.teacher(images).features, theirs, atol=1e-5)
    assert np.abs(theirs - own).max() > 1e-3


def test_stage_1_of_another_size_is_refused():
    task = make_task(restoration_stage(1))
    with pytest.raises(ValueError, match="training.init: that run's network is .* expected .*; adapt the model"):
        initialise(task, Converted(VQFRSettings("vqgan", 1, 32, 1 / 32, 2, 17)))


def test_perceptual_weights_that_cannot_be_read_are_an_error_not_a_random_network(tmp_path):
    assert load_perceptual("none") is None
    (tmp_path / "text.npz").write_text("not an archive")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    for name, reason in (("text.npz", "cannot use"), ("other.npz", "26 missing, the first is features.0.weight")):
        with pytest.raises(ValueError, match=f"objective.vgg16: .*{reason}") as error:
            load_perceptual(str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_fetched_perceptual_weights_are_read_from_both_their_files(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch, which writes the published format, is not installed")
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path))
    backbone, heads = perceptual_files("fetched")
    backbone.parent.mkdir(parents=True)
    arrays = vgg16_arrays()
    for path, names in ((backbone, "features"), (heads, "lin")):
        chosen = {name: torch.tensor(array) for name, array in arrays.items() if name.startswith(names)}
        torch.save(chosen, path)
    known = KNOWN_WEIGHTS["lpips-vgg"]
    files = tuple(dataclasses.replace(file, sha256=file_sha256(file.path)) for file in known.files)
    monkeypatch.setitem(KNOWN_WEIGHTS, "lpips-vgg", dataclasses.replace(known, files=files))
    np.savez(tmp_path / "both.npz", **arrays)
    image, other = tf.random.uniform([2, 1, 32, 32, 3], -1, 1)
    values = []
    for source in ("fetched", str(tmp_path / "both.npz")):
        network = load_perceptual(source)
        values.append(float(network.distance(network.features(image), network.features(other))))
    assert values[0] == values[1] > 0.0


def test_fetched_perceptual_weights_that_are_damaged_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path))
    for path in perceptual_files("fetched"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not what was published")
    with pytest.raises(ConfigError) as error:
        load_perceptual("fetched")
    assert str(error.value).startswith(f"objective.vgg16: {perceptual_files('fetched')[0]}: has the SHA-256 ")
    assert str(error.value).endswith("`rethink-fr weights fetch lpips-vgg` replaces it")
