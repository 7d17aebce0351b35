"""Commands that write: killed, out of power or of space at every change, and run again."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.attack.layer import FAILING, STOPPING, contents, hidden

COMMAND = "tests.attack.run_scenarios:command"
TOY = """
architecture: toy
data: {builtin_identities: 6, builtin_pictures: 2, validation_images: 4}
objective: {boundary: 10}
training: {steps: 1, global_batch: 4, log_every: 1, sample_every: 9, validate_every: 9, checkpoint_every: 1}
"""


class Case(NamedTuple):
    """A command: its arguments but for --output, the name of that, and what changes its result."""

    arguments: list
    output: str
    other: list = []
    whole: bool = False  # its output is one folder, there or not


@pytest.fixture(scope="module")
def place(tensorflow_trials, tmp_path_factory) -> Path:
    """Pictures, a model, and a folder `all` for the results."""
    folder = tmp_path_factory.mktemp("commands")
    generator = np.random.default_rng(0)
    for name in ("photos", "clean"):
        (folder / name / "deep").mkdir(parents=True)
        for number in ("0", "1", "deep/2"):
            pixels = generator.integers(0, 256, [32, 32, 3], np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "toy.yaml").write_text(TOY)
    made = tensorflow_trials.run(
        COMMAND, folder, "train", "--config", folder / "toy.yaml", "--output", folder / "model"
    )
    assert made.code == 0, made.output
    return folder


def case(place: Path, name: str) -> Case:
    photos, clean, out = place / "photos", place / "clean", place / "all/out"
    return {
        "restore": Case(["restore", photos, "--aligned", "--model", place / "model"], "", ["--seed", "1"]),
        "degrade": Case(["degrade", photos], "", ["--seed", "1"]),
        "prepare": Case(["prepare", photos, "--size", "16"], "", whole=True),
        "export": Case(["export", "--model", place / "model", "--format", "saved_model"], "", whole=True),
        "evaluate": Case(
            ["evaluate", "--restored", f"ours={photos}", "--reference", clean, "--metrics", "psnr"]
            + ["--table", out / "table.md", "--html", out / "page.html"],
            "report.json",
            ["--seed", "1"],
        ),
        "study": Case(
            ["study", "make", "--restored", f"a={photos}", f"b={clean}", "--reference", clean, "--degraded", photos]
            + ["--key", out / "key.json"],
            "page.html",
            ["--seed", "1"],
        ),
    }[name]


NAMES = ("restore", "degrade", "prepare", "export", "evaluate", "study")


def attack(trials, place: Path, name: str, mode: str, there: bool, most=None) -> None:
    command = case(place, name)
    parent, out = place / "all", place / "all/out"
    arguments = [*command.arguments, "--output", out / command.output if command.output else out]
    old = {}
    inputs = {one: contents(place / one) for one in ("photos", "clean", "model")}

    def prepare() -> None:
        shutil.rmtree(parent, ignore_errors=True)
        parent.mkdir()
        if there:
            shutil.copytree(place / "old", out)

    shutil.rmtree(place / "old", ignore_errors=True)
    shutil.rmtree(parent, ignore_errors=True)
    if there:
        made = trials.run(COMMAND, parent, *arguments, *command.other)
        assert made.code == 0, made.output
        old = contents(out)
        shutil.move(out, place / "old")
        arguments = [*arguments, "--overwrite"]
    prepare()
    made = trials.run(COMMAND, parent, *arguments)
    assert made.code == 0, made.output
    new = contents(out)

    for ended in trials.each(prepare, COMMAND, parent, *arguments, mode=mode, most=most):
        found = contents(out) if out.exists() else {}
        for path, data in found.items():
            assert same(path, data, new) or data == old.get(path, 0), f"{path} is neither old nor new: {ended}"
        assert set(old) <= set(found), f"lost: {ended}"
        if command.whole:
            assert not found or set(found) == set(new)
        if mode in FAILING:
            assert not hidden(parent)
            assert ended.code in (0, 1, 2) and (ended.code or set(found) == set(new)), ended
        again = [] if there or name == "prepare" or not found else ["--overwrite"]
        again = trials.run(COMMAND, parent, *arguments, *again)
        assert again.code == 0, f"{again.output} after {ended}"
        found = contents(out)
        assert set(found) == set(new) and all(same(path, data, new) for path, data in found.items())
        assert not hidden(parent)
    assert inputs == {one: contents(place / one) for one in inputs}


def same(path: str, data, new: dict) -> bool:
    """Whether a file is that of an uninterrupted run; TensorFlow gives a SavedModel other numbers each time."""
    return path in new and (data == new[path] or path in ("saved_model.pb", "fingerprint.pb"))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "export")) for name in NAMES])
def test_a_killed_command_leaves_whole_files(tensorflow_trials, place, name):
    attack(tensorflow_trials, place, name, "kill", False, most=3)


@pytest.mark.slow
@pytest.mark.parametrize("mode", STOPPING + FAILING)
@pytest.mark.parametrize("name", NAMES)
def test_a_command_at_every_change(tensorflow_trials, place, name, mode):
    attack(tensorflow_trials, place, name, mode, False)


@pytest.mark.slow
@pytest.mark.parametrize("mode", STOPPING + FAILING)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("prepare", "export")])
def test_a_command_that_overwrites_at_every_change(tensorflow_trials, place, name, mode):
    attack(tensorflow_trials, place, name, mode, True)
