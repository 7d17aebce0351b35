"""What `train` refuses by looking at a run's folder, before TensorFlow is loaded."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rethink_fr.config.checks import ConfigError
from rethink_fr.runs.config_file import changed_keys, load_config, save_config, settings
from rethink_fr.runs.divergence import record_divergence
from rethink_fr.runs.folder import is_chief, run_lock
from rethink_fr.runs.resolve import refused_changes, resolve_config
from tests.command_line import ROOT

SETTINGS = ["training.checkpoint_every=10", "objective.perceptual=none"]


@pytest.fixture
def run(tmp_path) -> Path:
    """A folder that looks like a run with checkpoints of two steps."""
    save_config(load_config("smoke_64", SETTINGS), tmp_path / "config.yaml")
    (tmp_path / "checkpoints").mkdir()
    for step in (10, 20):
        (tmp_path / "checkpoints" / f"step-{step}.index").write_bytes(b"")
    (tmp_path / "metrics.jsonl").write_text('{"step": 21}\n')
    return tmp_path


def contents(folder: Path) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [None, "smoke_64"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the configuration of the run in this folder is not there"),
        ("", "has no section 'training'"),
        ("architecture: rethink\nmodel: {resolution: 64", "not valid YAML"),
        ("architecture: rethink\nmodel: {resolution: 64}\n", "has no section 'training'"),
    ],
)
def test_a_run_without_a_readable_configuration_is_not_continued_with_another(run, name, text, message):
    (run / "config.yaml").unlink()
    if text is not None:
        (run / "config.yaml").write_text(text)
    before = contents(run)
    with pytest.raises(ConfigError, match=message) as error:
        resolve_config(name, [], run)
    assert "\n" not in str(error.value) and "another --output" in str(error.value)
    assert contents(run) == before


@pytest.mark.parametrize("evidence", ["metrics.jsonl", "checkpoints/checkpoint", "samples/final.png", "damaged"])
def test_a_run_that_lost_its_checkpoints_does_not_start_again(run, evidence):
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    (run / "metrics.jsonl").write_text('{"step": 10}\n')
    resolve_config(None, [], run)  # killed before the first one was written, that is how it looks
    if evidence == "damaged":
        (run / "checkpoints/damaged").mkdir()
        (run / "checkpoints/damaged/step-10.index").write_bytes(b"")
    elif evidence == "metrics.jsonl":
        (run / evidence).write_text('{"step": 12}\n{"st')
    else:
        (run / evidence).parent.mkdir(exist_ok=True)
        (run / evidence).write_bytes(b"")
    with pytest.raises(ConfigError, match="no checkpoint of this run is there"):
        resolve_config(None, [], run)


def test_learning_rates_may_change_and_nothing_else_of_the_optimizer(run):
    config = resolve_config(None, ["optimizer.learning_rate=0.001", "optimizer.decay_steps=900"], run)
    assert config.optimizer.learning_rate == 0.001
    with pytest.raises(ConfigError, match=r"other settings \(optimizer.beta_1\)"):
        resolve_config(None, ["optimizer.beta_1=0.5"], run)


def test_a_step_to_resume_from_must_be_there(run, tmp_path):
    resolve_config(None, [], run, resume_from=10)
    with pytest.raises(ConfigError, match="--resume-from 15: .* expected one of 10, 20"):
        resolve_config(None, [], run, resume_from=15)
    with pytest.raises(ConfigError, match="--resume-from 15: .* expected one of none"):
        resolve_config("smoke_64", [], tmp_path / "new", resume_from=15)


def test_what_became_nan_is_not_tried_again_with_the_same_rates(run):
    (run / "checkpoints" / "step-65.index").write_bytes(b"")
    message = record_divergence(run, 71, "loss/l1 became non-finite", {"optimizer.learning_rate": 0.5})
    expected = (
        "loss/l1 became non-finite at step 71 with optimizer.learning_rate=0.5; the checkpoint of step 20 was followed "
        f"by 50 good steps; go on from it: rethink-fr train --output {run} --resume-from 20 "
        "--set optimizer.learning_rate=0.25"
    )
    assert message == expected
    with pytest.raises(ConfigError) as error:
        resolve_config(None, ["training.steps=500"], run)
    assert str(error.value).endswith(expected)
    resolve_config(None, [], run, resume_from=20)
    resolve_config(None, ["optimizer.learning_rate=0.25"], run)
    found = json.loads((run / "diverged.json").read_text())
    assert (found["step"], found["newest_checkpoint"], found["healthy_checkpoint"]) == (71, 65, 20)


def test_without_a_checkpoint_that_is_trusted_the_message_says_so(run):
    assert "none of the checkpoints was followed by 50 good steps; go on from the oldest" in record_divergence(
        run, 30, "loss/l1 became non-finite", {}
    )
    assert "there is no checkpoint yet" in record_divergence(
        run, 5, "loss/l1 became non-finite", {"optimizer.learning_rate": 1.0}
    )


def train_refused(run: Path) -> str:
    """The one line of a `train` that ends with exit code 2 without loading TensorFlow."""
    code = (
        "import sys; from rethink_fr.cli import main; code = main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "--output", str(run)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_one_process_trains_in_a_folder(run):
    with run_lock(run), run_lock(run):  # the command and the function that it calls are one process
        before = contents(run)
        assert "this run is in use by process" in train_refused(run)
        assert contents(run) == before
    with run_lock(run):
        pass


@pytest.mark.parametrize(
    ("task", "others", "expected"),
    [
        ({"type": "worker", "index": 0}, {}, True),
        ({"type": "worker", "index": 1}, {}, False),
        ({"type": "worker", "index": 0}, {"chief": ["c:1"]}, False),
        ({"type": "chief", "index": 0}, {"chief": ["c:1"]}, True),
    ],
)
def test_the_chief_is_known_before_tensorflow_is_loaded(monkeypatch, task, others, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"], **others}, "task": task}))
    assert is_chief("multiworker") is expected
    assert is_chief("mirrored")


CHANGEABLE = {
    "data.service", "data.workers", "training.force_precision", "training.steps", "training.log_every",
    "training.sample_every",
    "training.validate_every", "training.checkpoint_every", "training.keep_checkpoints", "training.logical_cpus",
    "training.accumulate", "training.recompute", "training.steps_per_execution", "training.on_divergence",
    "training.gradient_norm_limit", "training.gradient_norm_ratio", "training.rollback_factor",
    "training.rollback_times", "training.identity_network", "training.cross_device",
}  # fmt: skip
# What the restorer's and VQFR's optimizers call their learning rates.
RATES = {
    "optimizer.learning_rate", "optimizer.decay_steps", "optimizer.milestones", "optimizer.gamma",
    *(f"optimizer.{part}.learning_rate" for part in ("autoencoder", "main_branch", "discriminators")),
}  # fmt: skip


@pytest.mark.parametrize("name", ["smoke_64", "vqfr_codebook_64"])
def test_of_all_settings_those_may_change_that_leave_the_experiment_the_same_and_the_rest_is_refused_by_name(name):
    """A setting that is new belongs into one of the two sets above, or is refused."""
    config = load_config(name)
    for key, value in settings(config).items():
        changed = with_other(config, key)
        assert changed_keys(config, changed) == [key]
        expected = [] if key in CHANGEABLE | RATES else [key]
        assert refused_changes(changed_keys(config, changed)) == expected, f"{key} was {value}"


def with_other(config, key: str):
    """The configuration with another value of one setting, which need not make sense."""
    *sections, last = key.split(".")
    part = config
    for section in sections:
        part = getattr(part, section)
    value = getattr(part, last)
    other = (9, 9) if isinstance(value, tuple) else f"other {value}" if isinstance(value, str) else value + 1
    part = dataclasses.replace(part, **{last: not value if isinstance(value, bool) else other})
    for depth in range(len(sections) - 1, -1, -1):
        parent = config
        for section in sections[:depth]:
            parent = getattr(parent, section)
        part = dataclasses.replace(parent, **{sections[depth]: part})
    return part
