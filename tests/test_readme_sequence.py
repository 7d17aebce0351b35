"""The commands of README and guides work as written, one after the other, but for those that take hours."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.evaluation.study.files import checksum, read_key
from rethink_fr.losses.squeezenet import squeezenet
from rethink_fr.pictures.files import read_image, write_image
from rethink_fr.restorer.system import build as build_restorer
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.vqfr.settings import VQFRSettings
from rethink_fr.vqfr.system import build as build_vqfr
from rethink_fr.weights.published_network import expected_shapes
from tests.command_line import ROOT
from tests.evaluation.networks.test_onnx_network import made
from tests.training.helpers import small_config
from tests.weights.filled import filled

PAGES = ("docs/vqfr.md", "README.md", "docs/evaluation.md")
QUICK = ("degrade", "restore", "evaluate", "study")
COUNT, SIDE = 6, 96  # pictures, and their pixels: neither system's resolution


def commands(*verbs: str) -> list[str]:
    """The calls of these commands in all pages, in their order, each as one line. `shell` blocks have own tests."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in PAGES)
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in blocks.splitlines()]
    return [line for line in lines if line.split()[:1] == ["rethink-fr"] and line.split()[1] in verbs]


def save_run(folder: Path, architecture: str, settings, network) -> None:
    """A run of a network with random weights."""
    folder.mkdir(parents=True)
    save_model_section(architecture, settings, folder / "config.yaml")
    save_average(folder / "checkpoints", network)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with everything that the README's user has; the runs are of one tiny restorer."""
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    for folder, count in (("clean", COUNT), ("photos", 2), ("holiday", 1)):
        for number in range(count):
            write_image(tmp_path / folder / f"{number}.jpg", draw_face(number, 0, SIDE).image)
    for name in ("photo.jpg", "face.jpg"):
        write_image(tmp_path / name, draw_face(9, 0, SIDE).image)
    np.savez(tmp_path / "squeezenet.npz", **filled(expected_shapes(squeezenet, (None, None, 3))))
    people = [f"{number},person {number // 2}" for number in range(COUNT)]
    (tmp_path / "people.csv").write_text("\n".join(["name,identity", *people]))
    size = 3 * SIDE * SIDE  # the networks give the picture's values themselves
    net = {"range": "-1..1", "crop": "0,0,1,1"}
    (tmp_path / "FACES.onnx").write_bytes(made([1, 3, SIDE, SIDE], [1, size], **net))
    (tmp_path / "LANDMARKS.onnx").write_bytes(made([1, 3, SIDE, SIDE], [1, size], **net))
    settings = small_config().model
    save_run(tmp_path / "runs" / "quickstart", "rethink", settings, build_restorer(settings))
    for name in ("faces", "vqfr_v2"):
        shutil.copytree(tmp_path / "runs" / "quickstart", tmp_path / "runs" / name)
    return tmp_path


def answer(place: Path) -> None:
    """What a rater's page saves: the first picture of each trial is the best."""
    key = read_key(place / "key.json")
    chosen = {item.name: "A" for item in key.items}
    entries = [{"trial": trial, "choice": choice} for trial, choice in chosen.items()]
    content = {"study": key.study, "rater": "Ann", "answers": entries, "check": checksum(key.study, "Ann", chosen)}
    (place / "answers-ann.json").write_text(json.dumps(content))


def check_results(place: Path) -> None:
    """What the sequence is there for."""
    report, methods = (json.loads((place / name).read_text()) for name in ("report.json", "methods.json"))
    assert report["images"] == methods["images"] == COUNT and report["failed"] == methods["failed"] == []
    assert report["resize"]["to"] == 64 and methods["resize"]["to"] == "reference"
    assert {"psnr", "deg", "lmd", "precision", "iprecision"} <= set(methods["metrics"])
    assert methods["methods"] == ["Ours", "VQFR"] and np.isfinite(methods["metrics"]["psnr"]["Ours"]["mean"])
    assert "PSNR" in (place / "table.tex").read_text() and "PSNR" in (place / "report.html").read_text()


def test_from_clean_pictures_to_a_report_and_a_study(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    called = commands(*QUICK)
    called = called[next(number for number, line in enumerate(called) if "degrade clean/" in line) :]
    assert [line.split()[1] for line in called] == [
        "degrade", "restore", "evaluate", "restore", "evaluate", "study", "study", "restore", "evaluate",
    ]  # fmt: skip
    printed = {}
    for line in called:
        if line.startswith("rethink-fr study tally"):
            answer(place)
        words = [found for word in shlex.split(line) for found in (sorted(glob.glob(word)) or [word])]
        code = main(words[1:])
        printed[line.split("--")[0]] = said = capsys.readouterr()
        assert code == 0, f"{line}\n{said.err}"
    tally = printed["rethink-fr study tally "].out
    assert "6 trials, raters: 1" in tally and "no rank correlation: it needs 3 methods" in tally
    assert "8 samples of each" in said.out and "perceptual" in said.out
    check_results(place)


def test_no_two_commands_write_to_one_place():
    """The second would be refused."""
    outputs = re.findall(r"--(?:output|table|html) (\S+)", "\n".join(commands(*QUICK, "train", "prepare", "export")))
    made_by_restore = [one for one in outputs if one in ("holiday_restored", "samples", "textures", "ours", "vqfr")]
    assert len(made_by_restore) == 5 and len(outputs) == len(set(outputs))


@pytest.mark.slow
def test_the_whole_sequence_in_a_shell_with_the_training_before_it(place):
    """As a user types it; training on a hundred pictures is cut to two steps, VQFR is a tiny one."""
    for number in range(100):
        write_image(place / "photos" / f"{number}.jpg", draw_face(number, 0, SIDE).image)
    settings = VQFRSettings("vqfr", 2, resolution=32, width=1 / 32, levels=2, codebook_size=16)
    for name in ("faces", "vqfr_v2"):
        shutil.rmtree(place / "runs" / name)
    save_run(place / "runs" / "vqfr_v2", "vqfr", settings, build_vqfr(settings))

    def run(lines: list[str]) -> str:
        done = subprocess.run(
            ["bash", "-c", "\n".join(["set -e", 'rethink-fr() { "$PYTHON" -m rethink_fr "$@"; }', *lines])],
            cwd=place,
            env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        return done.stderr

    (training,) = (line for line in commands("train") if "data.validation=holdout" in line)
    assert "25 of its 100 pictures are held out" in run([f"{training} --set training.steps=2"])
    called = commands(*QUICK)
    tally = next(number for number, line in enumerate(called) if line.startswith("rethink-fr study tally"))
    run(called[:tally])
    answer(place)
    run(called[tally:])
    check_results(place)
    assert read_image(place / "ours" / "0.png").shape == (64, 64, 3)
    assert (place / "textures" / "0_texture.png").is_file() and (place / "samples" / "0_sheet.png").is_file()
