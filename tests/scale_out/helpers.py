"""What tests of pipelines share: a tiny network on disk, photos of marks, and what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from PIL import Image

from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.systems import SYSTEMS
from tests.inference.photo_calls import photo

NO_BEAM = 'Apache Beam is not installed here: pip install ".[beam]"'


def tiny_run(folder: Path) -> Path:
    """A run that was never trained."""
    model = ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16)
    save_model_section("rethink", model, folder / "config.yaml")
    save_average(folder / "checkpoints", SYSTEMS["rethink"].build(model))
    return folder


def album(folder: Path) -> Path:
    """Photos of marks: one with two, some with one, one without, in several formats; two of one name; a bad one."""
    for number in range(5):
        photo(folder / f"{number}.png", [(15 + 6 * number, 30, 40)])
    photo(folder / "deep" / "two.jpg", [(10, 20, 36), (70, 40, 40)])
    photo(folder / "grey.png", [(30, 30, 40)], mode="L")
    photo(folder / "same.bmp", [(30, 20, 40)])
    photo(folder / "same.png", [(40, 20, 40)])
    Image.fromarray(np.full([60, 80, 3], 90, np.uint8)).save(folder / "none.jpg")
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "note.txt").write_text("hello")
    return folder


def files(folder: Path) -> Dict[str, bytes]:
    """The pictures below a folder by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".rethink-fr" not in path.parts and not path.name.endswith((".json", ".jsonl"))
    }


def lines(path: Path) -> List[Dict[str, Any]]:
    """What stands in a file of lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def outcomes(folder: Path) -> Dict[str, str]:
    """By the name of each input, "finished" or the reason why it is a dead letter. Checks that it is told of once."""
    told = [line for path in sorted(folder.glob("report-*.jsonl")) for line in lines(path)]
    names = [Path(line["input"]).name for line in told]
    assert len(names) == len(set(names)), "an input has two outcomes"
    dead = {Path(line["input"]).name for line in told if line.get("error")}
    assert {Path(line["input"]).name for line in lines(folder / "dead_letters.jsonl")} == dead
    summary = json.loads((folder / "report.json").read_text())
    assert (summary["finished"], summary["dead_letters"]) == (len(told) - len(dead), len(dead))
    for line in told:
        assert line.get("error") or all((folder / name).is_file() for name in line["outputs"])
    return {Path(line["input"]).name: line.get("error") or "finished" for line in told}
