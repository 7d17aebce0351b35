"""`train --init`: another run's weights, or a converted network's, as the start of a new run."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.runs.config_file import load_config, save_config, save_model_section
from rethink_fr.runs.loading import load_matching, save_average
from rethink_fr.runs.resolve import resolve_config
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.checkpoints import CheckpointError
from rethink_fr.training.run import train
from tests.command_line import ROOT
from tests.training import toy
from tests.training.helpers import replace, small_config


def values(run: Path) -> dict:
    """Every value of a run's newest checkpoint, by name."""
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    return {
        name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "OBJECT" not in name
    }


def still(config, **training):
    """The same experiment for one step that moves no weight."""
    config = replace(config, "optimizer", learning_rate=0.0)
    return replace(config, "training", steps=1, **training)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A run of three steps."""
    run = tmp_path_factory.mktemp("source") / "run"
    train(small_config(steps=3, log_every=1, sample_every=100, validate_every=100), "one", run)
    return run


def test_a_new_run_starts_from_the_average_and_the_discriminator_of_the_other(source, tmp_path, capfd):
    # Another seed: what is equal afterwards was taken over.
    train(still(small_config(seed=5), init=str(source)), "one", tmp_path / "new")
    assert f"starting from {source}: generator, discriminator" in capfd.readouterr().err
    old, new = values(source), values(tmp_path / "new")
    moved = ("quantizer", "optimizer")  # codebooks follow the clean images at any learning rate
    compared = 0
    for name, value in new.items():
        network, _, rest = name.partition("/")
        if network in ("restorer", "average", "discriminator") and not any(word in rest for word in moved):
            origin = "discriminator" if network == "discriminator" else "average"
            # One ulp: the step with learning rate 0 averages two equal numbers.
            np.testing.assert_allclose(value, old[f"{origin}/{rest}"], rtol=2e-7, err_msg=name)
            compared += 1
    assert compared > 100
    assert int(new["step"]) == 1 and int(old["step"]) == 3
    assert load_config(tmp_path / "new" / "config.yaml").training.init == str(source)


def test_a_run_that_has_begun_keeps_its_own_weights(monkeypatch, tmp_path):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    train(toy.experiment(steps=4), "one", tmp_path / "source")
    config = toy.experiment(steps=3, seed=2, init=str(tmp_path / "source"))
    train(config, "one", tmp_path / "whole")
    train(replace(config, "training", steps=1), "one", tmp_path / "parts")
    shutil.rmtree(tmp_path / "source")  # nothing is read from it any more
    train(config, "one", tmp_path / "parts")
    whole, parts = values(tmp_path / "whole"), values(tmp_path / "parts")
    for name in set(whole) - {"save_counter"}:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("change", [{"width": 1 / 16}, {"n_skips": 1}, {"quantize": False}])
def test_another_network_is_refused(source, tmp_path, change):
    config = replace(small_config(steps=1, init=str(source)), "model", **change)
    with pytest.raises(ConfigError, match="training.init: .* holds another network .*expected the same `model`"):
        train(config, "one", tmp_path)


def test_a_converted_network_has_a_generator_only(monkeypatch, tmp_path, capfd):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    network = toy.build(toy.ToyModel())
    network.set_weights([np.float32([2, 3, 4]), np.float32([5, 6, 7]), np.float32(8)])
    save_average(tmp_path / "converted/checkpoints", network)
    save_model_section("toy", toy.ToyModel(), tmp_path / "converted/config.yaml")
    config = toy.experiment(steps=1, init=str(tmp_path / "converted"))
    config = replace(config, "optimizer", learning_rate=0.0)
    train(config, "one", tmp_path / "run")
    assert "converted: generator\n" in capfd.readouterr().err
    np.testing.assert_array_equal(values(tmp_path / "run")["average/scale"], [2, 3, 4])
    np.testing.assert_array_equal(values(tmp_path / "run")["generator/shift"], [5, 6, 7])


def test_a_kind_may_decide_itself_what_it_takes_over(monkeypatch, tmp_path):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    config = replace(toy.experiment(steps=1, boundary=1), "optimizer", learning_rate=0.0)
    train(config, "one", tmp_path / "source")

    def half(task, run):
        task.generator.scale.assign(10.0 * run.network.scale)
        assert run.settings == toy.ToyModel()
        assert run.load({"critic": task.critic, "nothing": tf.Variable(0.0)}) == ["critic"]
        return ["scale"]

    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM._replace(initialise=half))
    config = replace(config, "training", init=str(tmp_path / "source"), seed=3)
    train(config, "one", tmp_path / "run")
    expected = 10 * values(tmp_path / "source")["average/scale"]
    np.testing.assert_allclose(values(tmp_path / "run")["generator/scale"], expected, rtol=1e-6)
    np.testing.assert_allclose(values(tmp_path / "run")["average/scale"], expected, rtol=1e-6)


def test_only_what_has_the_same_name_and_shapes_is_loaded(tmp_path):
    class Pair(tf.Module):
        def __init__(self, first: int, second: int, value: float) -> None:
            super().__init__()
            self.parts = [tf.Variable(tf.fill([first], value)), tf.Variable(tf.fill([second], value))]

    written = tf.train.Checkpoint(a=Pair(2, 3, 1.0), ab=Pair(2, 3, 1.0), lone=tf.Variable(1.0))
    tf.train.CheckpointManager(written, str(tmp_path), max_to_keep=1, checkpoint_name="step").save(0)
    here = {"a": Pair(2, 4, 0.0), "ab": Pair(2, 3, 0.0), "absent": Pair(1, 1, 0.0), "lone": tf.Variable(0.0)}
    assert load_matching(tmp_path, here) == ["ab", "lone"]
    assert {name: float(part.parts[0][0]) for name, part in here.items() if name != "lone"} == {
        "a": 0.0, "ab": 1.0, "absent": 0.0
    }  # fmt: skip
    assert float(here["lone"]) == 1.0
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        load_matching(tmp_path / "nowhere", here)


# ---- the command's side, without TensorFlow


def config_file(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder


def begun(folder: Path, text: str) -> Path:
    """A folder that looks like a run with a checkpoint."""
    config_file(folder, text)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-1.index").write_text("", encoding="utf-8")
    return folder


def test_init_is_recorded_and_a_continued_run_ignores_where_it_came_from(tmp_path):
    source = config_file(tmp_path / "123", "model: {}")  # a name that YAML would read as a number
    config = resolve_config("smoke_64", [], tmp_path / "run", source)
    assert config.training.init == str(source)
    run = begun(tmp_path / "run", f"training: {{init: {tmp_path}/gone}}\nobjective: {{perceptual: none}}")
    for name in (None, str(run / "config.yaml")):
        assert resolve_config(name, ["training.steps=9"], run).training.init == f"{tmp_path}/gone"
    again = resolve_config(None, [], run, Path(f"{tmp_path}/gone"))
    assert again.training.init == f"{tmp_path}/gone", "the same command again"


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("nothing", "training.init: no run at .*nothing; expected a directory made by"),
        ("toy", "training.init: .*toy is of architecture toy, expected rethink"),
        ("damaged", "model.widht: no such key"),
    ],
)
def test_what_is_no_run_of_this_system_is_refused(monkeypatch, tmp_path, init, message):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    config_file(tmp_path / "toy", "architecture: toy\nmodel: {channels: 1}")
    config_file(tmp_path / "damaged", "model: {widht: 1}")
    with pytest.raises(ConfigError, match=message):
        resolve_config("smoke_64", [], tmp_path / "run", tmp_path / init)


def test_a_teacher_is_recorded_kept_and_checked_as_init_is(tmp_path):
    init, teacher = (config_file(tmp_path / name, "architecture: vqfr\nmodel: {}") for name in ("init", "teacher"))
    whole = ["objective.vgg16=none", "objective.texture.local_adversarial=0", "objective.main.local_adversarial=0"]
    whole += ["objective.main.l1=1", "data.train=builtin"]
    config = resolve_config("vqfr_512", whole, tmp_path / "run", init, teacher=teacher)
    assert config.training.teacher == str(teacher)
    begun(tmp_path / "run", "")
    save_config(config, tmp_path / "run" / "config.yaml")
    assert resolve_config(None, [], tmp_path / "run").training.teacher == str(teacher)
    with pytest.raises(ConfigError, match="--teacher .*holds a run that has started already; leave --teacher out"):
        resolve_config(None, [], tmp_path / "run", teacher=init)
    with pytest.raises(ConfigError, match="training.teacher: no run at .*none; expected a directory made by"):
        resolve_config("vqfr_512", whole, tmp_path / "new", init, teacher=tmp_path / "none")
    with pytest.raises(ConfigError, match="training.teacher: expected '' where training.init is ''"):
        resolve_config("vqfr_512", whole, tmp_path / "new", teacher=teacher)
    with pytest.raises(ConfigError, match="training.teacher: expected '' in stage codebook"):
        resolve_config("vqfr_codebook_512", [whole[0], whole[-1]], tmp_path / "new", init, teacher=teacher)
    with pytest.raises(ConfigError, match="training.teacher: expected '': only VQFR has a teacher"):
        resolve_config("smoke_64", [], tmp_path / "new", init, teacher=teacher)


def test_a_run_that_has_begun_takes_no_other_start(tmp_path):
    source = config_file(tmp_path / "source", "model: {}")
    run = begun(tmp_path / "run", "objective: {perceptual: none}\ntraining: {}")
    with pytest.raises(ConfigError, match="--init .*holds a run that has started already"):
        resolve_config(None, [], run, source)


def test_a_mistake_in_init_is_told_before_tensorflow_loads(tmp_path):
    code = (
        "import sys; from rethink_fr.cli import main; code = main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    output = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "--init", str(tmp_path / "none"), "--output", str(output)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "training.init: no run at" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not output.exists()
