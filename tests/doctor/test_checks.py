"""What is found before a long run: what would stop it fails, what would slow it down is a warning."""

import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from rethink_fr import cli
from rethink_fr.config.sections import DataConfig, FolderConfig
from rethink_fr.doctor import checks, machine
from rethink_fr.doctor.checks import memory_finding, speed_findings
from rethink_fr.doctor.findings import Finding, as_lines, sized
from rethink_fr.doctor.machine import check_clock
from rethink_fr.doctor.run_folder import check_disk, check_output, check_run
from rethink_fr.doctor.samples import check_pictures, open_sample
from rethink_fr.files.locks import exclusive_lock, is_locked
from rethink_fr.files.writing import WriteError
from rethink_fr.runs.config_file import load_config, save_config
from tests.command_line import ROOT

GB = 10**9
BUILT = {"networks": GB, "average": GB // 2, "optimizers": GB, "checkpoint": 2 * GB, "all": 2 * GB}
PREDICTED = {"bytes": 8 * GB, "tensors": 5 * GB, "phase": 0, "on_gpu": False}


def pictures(folder, count=6, side=64):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(generator.integers(0, 256, [side, side, 3], np.uint8)).save(folder / f"{number}.png")
    return DataConfig(train=str(folder), validation="holdout", validation_images=2)


def test_memory_that_does_not_suffice_fails_and_says_what_would_fit():
    found = memory_finding({"built": BUILT, "predicted": PREDICTED}, 5 * GB, 0, batch=16)
    assert found.state == "fails" and "8 GB predicted" in found.found and "not tried" in found.found
    assert found.advice.startswith("about training.global_batch=8 fits")
    killed = memory_finding({"built": BUILT, "predicted": PREDICTED}, 9 * GB, -9, 16)
    assert killed.state == "fails" and "was killed" in killed.found
    for taken, state in ((7 * GB, "ok"), (8.9 * GB, "warning")):
        stages = {"built": BUILT, "predicted": PREDICTED, "taken": {"bytes": taken, "seconds": [9, 2, 1]}}
        assert memory_finding(stages, 9 * GB, 0, 16).state == state


def test_reading_that_is_slower_than_training_is_told():
    config = load_config("smoke_64")  # 4 pictures a step
    taken = {"bytes": 1, "seconds": [60.0, 2.0, 1.0]}
    speed, read = speed_findings({"taken": taken, "read": {"images_per_second": 4.5}}, config)
    assert "1 s a step" in speed.found and (read.state, read.check) == ("warning", "input")
    assert "prepare" in read.advice
    assert speed_findings({"taken": taken, "read": {"images_per_second": 50.0}}, config)[1].state == "ok"


def test_room_for_checkpoints(tmp_path):
    assert check_disk(tmp_path / "new", keep=3, checkpoint=GB, free=3 * GB).state == "fails"
    assert check_disk(tmp_path / "new", keep=3, checkpoint=GB, free=5 * GB).state == "warning"
    assert check_disk(tmp_path / "new", keep=3, checkpoint=GB, free=20 * GB).state == "ok"
    (tmp_path / "checkpoints").mkdir()
    with open(tmp_path / "checkpoints" / "step-4.data-00000-of-00001", "wb") as file:
        file.truncate(3 * GB)  # what is there already needs no more room; the file has holes
    assert check_disk(tmp_path, keep=3, checkpoint=GB, free=5 * GB).state == "ok"


def test_the_clock_is_compared_with_the_newest_checkpoint(tmp_path):
    (tmp_path / "step-4.json").touch()
    now = time.time()
    assert check_clock(tmp_path, 4, now).state == "ok"
    behind = check_clock(tmp_path, 4, now - 3600)
    assert behind.state == "warning" and "before the newest checkpoint" in behind.found
    assert check_clock(tmp_path, None, 0).state == "warning"
    assert check_clock(tmp_path, None, 9e9).state == "warning"


def test_pictures_that_cannot_be_read_are_named(tmp_path):
    data = pictures(tmp_path / "photos")
    assert check_pictures("data.train", data, 64).state == "ok"
    assert "2 of 6 are held out" in check_pictures("data.validation", data, 64).found
    small = check_pictures("data.train", data, 128)
    assert small.state == "warning" and "6 are smaller than 128 px" in small.found
    (tmp_path / "photos" / "bad.jpg").write_text("not a picture")
    bad = check_pictures("data.train", data, 64)
    assert bad.state == "warning" and "6 of 7 tried" in bad.found and "bad.jpg" in bad.found
    for number in range(6):
        (tmp_path / "photos" / f"{number}.png").write_bytes(b"")
    assert check_pictures("data.train", data, 64).state == "fails"
    with pytest.raises(ValueError, match="holds no image files"):
        (tmp_path / "empty").mkdir()
        check_pictures("data.train", dataclasses.replace(data, train=str(tmp_path / "empty")), 64)


def test_each_of_several_folders_is_tried(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        pictures(tmp_path / name)
    (tmp_path / "b" / "bad.jpg").write_text("not a picture")
    (tmp_path / "b.txt").write_text("0.png\n")
    folders = (FolderConfig(str(tmp_path / "a")), FolderConfig(str(tmp_path / "b"), held_out=str(tmp_path / "b.txt")))
    sample = open_sample("several", 64, DataConfig(train="several", folders=folders), 3)
    assert sample.total == 13 and len(sample.source) == 6 and sample.source.read(3).shape == (64, 64, 3)
    monkeypatch.setattr(checks, "_tried", lambda *_: [])
    given = f"data.folders=[{{path: {tmp_path}/a}}, {{path: {tmp_path}/b, held_out: {tmp_path}/b.txt}}]"
    settings = [part for one in ("data.train=several", given, "data.validation=holdout") for part in ("--set", one)]
    assert cli.main(["doctor", "--config", "smoke_64", "--output", str(tmp_path / "run"), *settings]) == 0
    table = capsys.readouterr().out
    assert f"{tmp_path}/a: 6 pictures" in table and f"{tmp_path}/b: 7 pictures; 6 of 7 tried" in table
    assert f"data.validation   what {tmp_path}/b.txt holds out" in table


def test_the_output_must_be_writable_and_free(tmp_path):
    assert check_output(tmp_path / "new").state == "ok" and not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    assert check_output(tmp_path / "file").state == "fails"
    with pytest.raises(WriteError):
        check_output(tmp_path / "file" / "below")
    with exclusive_lock(tmp_path / "run.lock", "this run"):
        assert is_locked(tmp_path / "run.lock")
        assert "another process trains" in check_output(tmp_path).found
    assert not is_locked(tmp_path / "run.lock") and not is_locked(tmp_path / "none")


def test_what_cannot_be_continued_is_told(tmp_path):
    config = load_config("smoke_64")
    assert check_run(config, tmp_path / "new").found == "new: 6 steps"
    save_config(config, tmp_path / "config.yaml")
    longer = load_config("smoke_64", ["training.steps=9"])
    assert check_run(longer, tmp_path).state == "ok"
    found = check_run(load_config("smoke_64", ["model.width=0.125"]), tmp_path)
    assert found.state == "fails" and "other settings (model.width)" in found.found


def test_a_graphics_card_that_tensorflow_cannot_use_is_told(monkeypatch):
    config = load_config("smoke_64", ["training.precision=float32"])
    monkeypatch.setattr(machine, "gpus_of_the_driver", lambda: [machine.Gpu("H100", "535", GB, GB)])
    found = machine.check_devices("one", config.training)
    assert found.state == "warning" and 'pip install ".[gpu]"' in found.advice
    monkeypatch.setattr(machine, "gpus_of_the_driver", list)
    assert machine.check_libraries().state == "ok"


def test_every_check_is_a_row_and_what_fails_is_the_exit_code(tmp_path, monkeypatch, capsys):
    """Without the trial, which takes long: pictures that are not there keep it from being tried."""
    arguments = ["doctor", "--config", "vqfr_64", "--output", str(tmp_path / "run"), "--set", "data.train=/no/such"]
    assert cli.main(arguments) == 1
    table = capsys.readouterr().out
    assert "fails    data.train        /no/such: no such folder" in table
    assert "fails    files             training.init: stage restoration starts from" in table
    assert "warning  trial             not tried" in table and "checks fail" in table
    assert cli.main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"] and {"devices", "libraries", "clock", "output", "run"} <= {
        one["check"] for one in found["checks"]
    }
    assert not (tmp_path / "run").exists()
    assert cli.main(["doctor", "--set", "model.with=1"]) == 2
    monkeypatch.setattr(checks, "_tried", lambda *_: [])
    assert cli.main(["doctor", "--config", "smoke_64", "--output", str(tmp_path / "run")]) == 0
    assert "nothing here would stop the run" in capsys.readouterr().out


def test_sizes_and_rows_are_for_people():
    assert [sized(number) for number in (12, 1500, 1_250_000_000, 3.4e14)] == ["12 B", "1.5 kB", "1.25 GB", "340 TB"]
    assert as_lines([Finding("disk", "fails", "full", "make room")]) == [
        "fails    disk  full",
        " " * 15 + "-> make room",
    ]


SETTINGS = [
    ["smoke_64", "model.width=0.25", "training.global_batch=16"],
    ["smoke_64", "model.resolution=128", "model.width=0.125", "training.global_batch=16", "objective.r1_gamma=1.0"],
    ["vqfr_codebook_64", "training.global_batch=8", "data.train=builtin", "data.validation=builtin"],
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings[0])
def test_memory_is_predicted_within_a_fifth_of_what_is_measured(settings, tmp_path):
    name, *overrides = settings
    command = [sys.executable, "-m", "rethink_fr", "doctor", "--config", name, "--output", str(tmp_path), "--json"]
    command += [part for override in overrides for part in ("--set", override)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    numbers = found["memory"]["numbers"]
    print(numbers)
    assert numbers["predicted_bytes"] == pytest.approx(numbers["measured_bytes"], rel=0.2)
    assert found["speed"]["numbers"]["seconds_per_step"] > 0 and found["input"]["numbers"]["read_per_second"] > 0
