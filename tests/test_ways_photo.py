"""One photo, from the command line to the written file, visits the files that the README says, and goes one way."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.restorer.settings import ModelConfig
from rethink_fr.runs.config_file import save_model_section
from rethink_fr.runs.loading import save_average
from rethink_fr.systems import SYSTEMS
from tests.faces.scenes import group
from tests.ways import assert_goes_one_way, visited, way_in_readme

# Stories of their own: the declaration of all commands' arguments; how a network is found, built, and restores,
ASIDE = ("_parser", "load_restorer", "draw_noise", "__call__", "restore_picture")
# how faces are found,
ASIDE += ("open_detector", "check_detector", "find_faces", "framing_note", "size_notes", "check_abilities")
# what may be written where, and how an interrupted call goes on,
ASIDE += ("plan_photos", "left", "output_names", "copied_name", "is_complete", "is_clip")
ASIDE += ("working", "begin", "finish", "close", "others")
# what is reported,
ASIDE += ("face_reports", "file_stamp", "summary", "failed")
# and what an image file holds beside its pixels, and what may be wrong with it.
ASIDE += ("opened", "read_file", "orientation_of", "over_white", "read_metadata", "options", "background", "enlarged")


@pytest.fixture
def run(tmp_path):
    """A run that was never trained: what matters is where its photo goes."""
    model = ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16)
    save_model_section("rethink", model, tmp_path / "run" / "config.yaml")
    save_average(tmp_path / "run" / "checkpoints", SYSTEMS["rethink"].build(model))
    return tmp_path / "run"


def test_one_photo_visits_the_files_of_the_readme_and_no_others(run, tmp_path):
    group((300, 220), [(20, 30, 160)]).save(tmp_path / "photo.png")
    arguments = ["restore", tmp_path / "photo.png", "--model", run, "--output", tmp_path / "out"]
    way = way_in_readme("photo")[:-2]
    assert len(way) <= 7
    assert visited([*map(str, arguments)], ASIDE, tmp_path / "visited.json") == set(way)
    assert (tmp_path / "out" / "photo.png").is_file()


def test_one_aligned_face_visits_four_files(run, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, [40, 32, 3], np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    arguments = ["restore", tmp_path / "face.png", "--aligned", "--model", run, "--output", tmp_path / "out"]
    way = way_in_readme("photo")
    assert visited([*map(str, arguments)], ASIDE, tmp_path / "visited.json") == {*way[:2], *way[-2:]}


def test_one_photo_never_returns():
    way = way_in_readme("photo")
    assert_goes_one_way(way[:-2])
    assert_goes_one_way([*way[:2], *way[-2:]])
