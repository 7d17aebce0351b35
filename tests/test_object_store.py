"""The whole way on an S3-compatible server: prepare, train, interrupt, continue elsewhere, restore, export."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from rethink_fr.cli import main
from rethink_fr.config.parsing import plain
from rethink_fr.pictures.files import write_image
from rethink_fr.runs.loading import load_average
from rethink_fr.runs.mirror import local_model
from rethink_fr.systems import SYSTEMS
from tests.command_line import ROOT
from tests.training import toy
from tests.training.helpers import records


@pytest.fixture
def photos(tmp_path) -> Path:
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (8, 40, 40, 3), np.uint8)):
        write_image(tmp_path / "photos" / f"{number}.png", image)
    return tmp_path / "photos"


@pytest.fixture
def another_machine(tmp_path, monkeypatch):
    """Has nothing of what this one has in its cache."""

    def move() -> None:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    return move


def weights(run: Path, step: int) -> list:
    network = toy.build(toy.ToyModel())
    with local_model(run) as folder:
        assert load_average(folder / "checkpoints", network) == step
    return [weight.tolist() for weight in network.get_weights()]


@pytest.mark.parametrize("kind", [pytest.param("records", marks=pytest.mark.slow), "pictures"])
def test_a_small_system_all_the_way(bucket, photos, tmp_path, monkeypatch, capfd, another_machine, kind):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)
    config = toy.experiment(boundary=60, steps=4, checkpoint_every=2)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(plain(config)))
    data = f"{bucket.address}/{kind}"
    if kind == "records":
        assert main(["prepare", str(photos), "--output", data, "--size", "32"]) == 0
        assert main(["prepare", str(photos), "--output", data, "--size", "32"]) == 0  # there already, and compared
        assert main(["prepare", data, "--verify"]) == 0
    else:
        bucket.upload(photos, kind)
        assert main(["prepare", data, "--output", str(tmp_path / "local records"), "--size", "32"]) == 0
    given = ["--set", f"data.train={data}", "--set", "data.validation=holdout", "--set", "data.validation_images=2"]
    start = ["train", "--config", str(tmp_path / "toy.yaml"), *given]

    assert main([*start, "--output", str(tmp_path / "whole")]) == 0
    run, follow = Path(bucket.address) / "runs" / "toy", toy.ToyTask.after_step

    def interrupt(task: toy.ToyTask, step: int) -> None:
        follow(task, step)
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(toy.ToyTask, "after_step", interrupt)
        assert main([*start, "--output", f"{bucket.address}/runs/toy"]) == 1
    assert "checkpoints/step-2.index" in bucket.contents("runs/toy/")
    another_machine()
    assert main(["train", "--output", f"{bucket.address}/runs/toy"]) == 0
    assert f"before/after sheet: {bucket.address}/runs/toy/samples/final.png" in capfd.readouterr().out
    assert weights(run, 4) == weights(tmp_path / "whole", 4)
    with local_model(run) as folder:
        assert [row["step"] for row in records(folder)] == [1, 2, 3, 4]
    there = set(bucket.contents("runs/toy/"))
    assert {"config.yaml", "pictures.json", "metrics.jsonl", "samples/final.png"} <= there
    assert any(name.startswith("logs/events") for name in there)

    exported = f"{bucket.address}/exported"
    export = ["export", "--model", str(run), "--format", "saved_model", "--output"]
    assert main([*export, exported]) == 0
    assert main([*export, exported]) == 2
    assert main([*export, exported, "--overwrite"]) == 0
    restored = {}
    for number, model in enumerate([f"{bucket.address}/runs/toy", exported, str(tmp_path / "whole")]):
        output = tmp_path / f"restored {number}"
        assert main(["restore", str(photos), "--aligned", "--model", model, "--output", str(output)]) == 0
        restored[number] = [path.read_bytes() for path in sorted(output.glob("*.png"))]
    assert len(restored[0]) == 8 and restored[0] == restored[1] == restored[2]

    start = ["train", "--config", str(tmp_path / "toy.yaml"), "--init", f"{bucket.address}/runs/toy"]
    assert main([*start, "--set", "training.steps=1", "--output", str(tmp_path / "next")]) == 0
    assert f"starting from {bucket.address}/runs/toy" in capfd.readouterr().err


def test_mistakes_on_object_stores_are_one_line(bucket, capfd, tmp_path):
    for arguments, message in (
        (
            ["train", "--config", "smoke_64", "--set", f"data.train={bucket.address}/none"],
            "data.train: no folder s3://",
        ),
        (["train", "--config", "smoke_64", "--output", "s3://no-such-bucket/run"], "s3://no-such-bucket/run"),
        (["restore", str(tmp_path), "--aligned", "--output", f"{bucket.address}/out"], "holds no image files"),
        (["restore", str(ROOT / "docs"), "--aligned", "--output", f"{bucket.address}/out"], "not to object stores"),
        (["restore", f"{bucket.address}/photo.png", "--aligned", "--output", "x"], "photo.png: no such file or folder"),
        (["export", "--model", f"{bucket.address}/none", "--format", "saved_model", "--output", "x"], "no run here"),
        (["prepare", f"{bucket.address}/none", "--output", "x"], "no such folder"),
        (["prepare", f"{bucket.address}/none", "--verify"], "no such folder; expected one made by"),
    ):
        assert main(arguments) == 2, arguments
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0] and "s3:/b" not in lines[0], lines
    assert not Path("s3:").exists() and bucket.contents() == {}


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rethink_fr", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300
    )


def test_the_exit_code_is_that_of_the_work(bucket, photos):
    """Without care, tensorflow-io 0.36 aborts the process at its very end: exit code 134."""
    done = command("prepare", str(photos), "--output", f"{bucket.address}/records", "--size", "32")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"8 images in 1 shards: {bucket.address}/records\n"


@pytest.mark.slow
def test_the_restorer_all_the_way_in_processes_of_their_own(bucket, photos, tmp_path, another_machine):
    data, run = f"{bucket.address}/records", f"{bucket.address}/run"
    assert command("prepare", str(photos), "--output", data, "--size", "64").returncode == 0
    arguments = ["train", "--config", "smoke_64", "--output", run, "--set", f"data.train={data}"]
    arguments += ["--set", "data.validation=holdout", "--set", "data.validation_images=2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rethink_fr", *arguments, "--set", "training.steps=100000"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not any(name.endswith(".json") and "step-" in name for name in bucket.contents("run/checkpoints/")):
            assert process.poll() is None and time.monotonic() < deadline, "training did not start"
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "run the same command again to continue" in errors and "Traceback" not in errors
    another_machine()
    reached = max(int(name.split("-")[1].split(".")[0]) for name in bucket.contents("run/checkpoints/") if "-" in name)
    done = command("train", "--output", run, "--set", f"training.steps={reached + 2}")
    assert done.returncode == 0, done.stderr
    assert f"step {reached + 2}, faces it was not trained on" in done.stdout
    exported = f"{bucket.address}/exported"
    assert command("export", "--model", run, "--format", "saved_model", "--output", exported).returncode == 0
    for model in (run, exported):
        output = str(tmp_path / model.rsplit("/", 1)[1])
        done = command("restore", str(photos), "--aligned", "--model", model, "--output", output, "--samples", "2")
        assert done.returncode == 0, done.stderr
        assert len(os.listdir(output)) == 8 * 3 + 1


@pytest.mark.slow
def test_two_workers_train_one_run_and_two_others_continue_it(bucket, another_machine):
    run = f"{bucket.address}/run"
    for steps in (4, 6):
        ports = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        arguments = ["train", "--config", "smoke_64", "--strategy", "multiworker", "--output", run]
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "rethink_fr", *arguments, "--set", f"training.steps={steps}"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": k}}),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for k in range(2)
        ]
        try:
            for worker in workers:
                _, errors = worker.communicate(timeout=400)
                assert worker.returncode == 0, errors
        finally:
            for worker in workers:
                worker.kill()
        another_machine()
        assert f"checkpoints/step-{steps}.json" in bucket.contents("run/")
    with local_model(Path(run)) as folder:
        assert records(folder)[-1]["step"] == 6


def test_tensorflow_io_is_not_imported_without_an_address(tmp_path):
    code = (
        "import sys; from rethink_fr.cli import main\n"
        "import rethink_fr.training.run, rethink_fr.inference.restore, rethink_fr.inference.loading\n"
        "import rethink_fr.evaluation.evaluate, rethink_fr.data.prepare, rethink_fr.exporting.export\n"
        "from tests.training import toy; from rethink_fr.systems import SYSTEMS; SYSTEMS['toy'] = toy.SYSTEM\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'tensorflow_io', 'tensorflow_addons'} & set(sys.modules)"
    )
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(plain(toy.experiment(steps=1))))
    arguments = ["train", "--config", str(tmp_path / "toy.yaml"), "--output", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
