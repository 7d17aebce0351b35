"""Peers on the same faces: pages in docs/ show what their JSON files hold, and the tool goes from faces to both."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.losses.squeezenet import squeezenet
from rethink_fr.pictures.files import write_image
from rethink_fr.weights.published_network import expected_shapes
from tests.command_line import ROOT, shell_block
from tests.evaluation.networks.test_onnx_network import made
from tests.tools.loading import load_tool
from tests.weights.filled import filled

PUBLISHED = sorted((ROOT / "docs" / "peers").glob("*.*"))
MODEL = ROOT / "docs" / "mini128.md"
METRICS = {
    "PSNR, dB": "psnr",
    "SSIM": "ssim",
    "distance in SqueezeNet's features": "perceptual",
    "identity angle (MobileFace), degrees": "deg",
    "landmark distance (PFLD), px": "lmd",
    "precision / recall": "precision recall",
    "iPrecision / iRecall": "iprecision irecall",
}
SPREAD = {  # measured on samples, and in what unit the page has them
    "error of one sample over that of the mean of 8": ("error_ratio", 1.0),
    "the same by band: fine, middle, coarse": ("error_ratio_fine error_ratio_middle error_ratio_coarse", 1.0),
    "central intervals of 50, 80, 95 % cover": ("coverage_50 coverage_80 coverage_95", 100.0),
    "spread and error correlate over pixels": ("spread_error_correlation", 1.0),
}


@pytest.fixture(scope="module")
def tool():
    return load_tool("compare_methods")


def published(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def check_provenance(table: dict) -> None:
    """Each number names its command, commit, seed and hours."""
    assert re.fullmatch(r"[0-9a-f]{12}\+?|version .+", table["commit"]) and isinstance(table["seed"], int)
    assert table["command"].startswith("python tools/compare_methods.py ") and table["hours"] > 0
    assert [one["command"].split()[1] for one in table["steps"]] == [
        "tools/classical_baselines.py", "tools/evaluate_restorer.py", "evaluate",
    ]  # fmt: skip


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_pages_in_docs_are_those_of_the_json_files_beside_them(tool, path):
    table = published(path)
    assert path.suffix in (".md", ".json")
    assert path.with_suffix(".md").read_text(encoding="utf-8") == tool.as_markdown(table)
    check_provenance(table)
    assert "+" not in table["commit"]


def test_the_models_page_has_the_published_figures():
    """Each number of the two tables under "Measured", to as many digits as it is shown with."""
    table = published(ROOT / "docs/peers/mini128")
    metrics, methods = table["metrics"], {label: name for name, label in table["labels"].items()}
    section = MODEL.read_text(encoding="utf-8").split("## Measured")[1].split("\n## ")[0]
    tables = [part.splitlines() for part in section.split("\n\n") if part.startswith("|")]
    (head, _, *rows), (_, _, *spread) = ([line.strip("| ").split(" | ") for line in lines] for lines in tables)
    assert [row[0] for row in rows] == list(METRICS) and [row[0] for row in spread[:4]] == list(SPREAD)
    for what, *cells in rows:
        for label, cell in zip(head, cells):
            figures = [metrics[name]["cells"][methods[label]] for name in METRICS[what].split()]
            check_shown(cell, [one["mean"] for one in figures] + (figures[0]["interval"] if "[" in cell else []))
    for what, measured, *_ in spread[:4]:
        names, unit = SPREAD[what]
        check_shown(measured, [unit * metrics[name]["cells"]["samples"]["mean"] for name in names.split()])
    values = metrics["psnr"]["cells"]["restored"]["mean"], metrics["psnr_mean"]["cells"]["samples"]["mean"]
    check_shown(spread[4][1], [values[0] - values[1]])


def check_shown(cell: str, values: list) -> None:
    shown = re.findall(r"\d+(?:\.\d+)?", cell)
    digits = [len(number.partition(".")[2]) for number in shown]
    assert [f"{value:.{count}f}" for value, count in zip(values, digits)] == shown, cell
    assert len(values) == len(shown), cell


def report(tool) -> dict:
    """What `evaluate` reports of two pictures: degraded, and two methods, the second with two samples."""

    def figure(mean, **more):
        return {"mean": mean, "interval": [mean - 1.0, mean + 1.0], "count": 2, **more}

    drawn = figure(19.0, draws={"deviation": 0.5, "values": [18.5, 19.5]})
    return {
        "protocol": "ours",
        "images": 2,
        "k": 4,
        "networks": {"perceptual": {"name": "net.npz", "sha256": "0" * 64}},
        "interval": {"method": "bootstrap", "resamples": 2000, "seed": 0},
        "versions": {},
        "metrics": {
            "psnr": {"degraded": figure(20.0), "a": figure(22.0), "b": drawn},
            "ssim": {name: figure(value) for name, value in (("degraded", 0.9), ("a", 0.8), ("b", 0.7))},
            "error_ratio": {"b": figure(1.3, ideal=4 / 3)},
        },
        "rows": [
            {"degraded": {"psnr": 20.0}, "a": {"psnr": 21.0}, "b": {"psnr": 20.5}},
            {"degraded": {"psnr": 20.0}, "a": {"psnr": 23.0}, "b": {"psnr": 17.5}},
        ],
    }


def test_figures_gains_and_what_is_best(tool):
    tuned = {"strength": 2.0, "radius": 1.0, "amount": 0.0, "gain": 0.1, "tried": [0.5, 4.0]}
    table = tool.table_of(
        report(tool),
        {"faces": 3, "seed": 8, "methods": {"a": tuned}},
        title="A | B",
        command="python tools/compare_methods.py",
        date="2026-01-01",
        commit="0" * 12,
        seed=7,
        hours=0.5,
        steps=[{"command": "x", "hours": 0.5, "processor_hours": 1.0}],
        labels={"degraded": "degraded", "a": "method a", "b": "method b"},
    )
    text = tool.as_markdown(json.loads(json.dumps(table)))
    assert "rows" not in table and "# A \\| B" in text and "0.50 hours (1.00 of a processor)" in text
    assert "| method a | **22.00** [21.00, 23.00] | +2.000 [+1.000, +3.000] | 100% | 0.8000" in text
    assert "| method b | 19.00 ± 0.50 [18.00, 20.00] | -1.000 [-2.500, +0.500] | 50% | 0.7000" in text
    assert text.count("**") == 2  # no SSIM is bold, where the degraded pictures are better
    assert "| Error ratio | 1.30 [0.30, 2.30] | 1.33 |" in text
    assert "| method a | 2 | 0.5 to 4 | none | +0.100 |" in text


@pytest.mark.slow
def test_the_commands_of_the_guide(tmp_path):
    """From faces to the page, as the guide has it, with the model of the package and drawn faces."""
    for module in ("cv2", "skimage", "pywt"):
        pytest.importorskip(module, reason=f"{module}, of the extra 'test', is not installed")
    for folder, first, count in (("train", 0, 2), ("test", 100, 3)):
        for number in range(count):
            write_image(tmp_path / "faces" / folder / f"{number}.png", draw_face(first + number, 0, 128).image)
    (tmp_path / "people.csv").write_text("name,identity\n0,Ann\n1,Ann\n2,Bob\n")
    (tmp_path / "FACES.onnx").write_bytes(made([1, 3, 128, 128], [1, 3 * 128**2], range="-1..1", crop="0,0,1,1"))
    np.savez(tmp_path / "squeezenet.npz", **filled(expected_shapes(squeezenet, (None, None, 3))))
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    shell = f"""set -e\npython() {{ {sys.executable} "$@"; }}\nrethink-fr() {{ python -m rethink_fr "$@"; }}\n"""
    shell += shell_block("evaluation.md", "Peers on the same faces")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = published(tmp_path / "peers")
    check_provenance(table)
    assert table["images"] == 3 and set(table["gains"]) == set(table["labels"]) - {"degraded"}
    assert len(table["strengths"]["methods"]) == 6 and table["strengths"]["faces"] == 2
    assert (tmp_path / "peers.md").read_text(encoding="utf-8") in done.stdout
    mean, one = (table["metrics"]["psnr"]["cells"][name]["mean"] for name in ("mean", "samples"))
    assert mean > one and (tmp_path / "methods.png").is_file()
