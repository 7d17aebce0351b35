"""One training batch, from the command line to the log line, visits the files of the README and never returns."""

import json

import pytest

from tests.ways import assert_goes_one_way, visited, way_in_readme

# Stories of their own: arguments of all commands, configuration and its checks, devices, what is shown of a run.
ASIDE = ("_parser", "resolve_config", "validate", "sheet", "encode_png")
BESIDES = ("losses/", "drawn_faces/", "runs/", "training/devices.py")
TINY = (
    "training.steps=1", "training.log_every=1", "model.resolution=32", "model.width=0.03125", "model.n_skips=2",
    "model.codebook_size=16", "data.builtin_identities=2", "data.builtin_pictures=2", "data.validation_images=2",
)  # fmt: skip


@pytest.mark.slow
def test_one_batch_visits_the_files_of_the_readme_and_no_others(tmp_path):
    settings = [part for value in TINY for part in ("--set", value)]
    arguments = ["train", "--config", "smoke_64", "--output", str(tmp_path / "run"), *settings]
    way = way_in_readme("batch")
    assert len(way) <= 20
    found = {path for path in visited(arguments, ASIDE, tmp_path / "visited.json") if not path.startswith(BESIDES)}
    assert found == set(way)
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])["loss/restorer"] > 0


def test_one_batch_never_returns():
    assert_goes_one_way(way_in_readme("batch"))
