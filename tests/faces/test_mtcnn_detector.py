"""MTCNN on drawn faces: found, aligned, bounded in memory, and no file of the working directory is loaded."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rethink_fr.faces.mtcnn_detector import MtcnnDetector
from rethink_fr.faces.search import find_faces
from rethink_fr.pictures.geometry import ffhq_points
from tests.command_line import PEAK_MEMORY, ROOT
from tests.faces.scenes import group

PLACES = [(20, 30, 160), (200, 10, 120), (350, 120, 90)]


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


def assert_aligned(faces, places, tolerance=0.05):
    """Each face's points are near where FFHQ has them in its square."""
    assert len(faces) == len(places)
    for face, (left, top, side) in zip(faces, places):
        distance = np.linalg.norm(face.points - (ffhq_points(side) + [left, top]), axis=1).mean()
        assert distance < tolerance * side


def test_drawn_faces_are_found_where_they_are(detector):
    assert_aligned(find_faces(group((480, 240), PLACES), detector), PLACES)


def test_grey_photos_too(detector):
    assert_aligned(find_faces(group((480, 240), PLACES, "L"), detector), PLACES)


@pytest.mark.parametrize("degrees", [30, -30, 90, 180])
def test_tilted_heads_are_found_with_their_tilt(detector, degrees):
    # Counter-clockwise, on a larger sheet so that nothing is cut off.
    sheet = Image.new("RGB", (400, 400), (96, 104, 92))
    sheet.paste(group((160, 160), [(0, 0, 160)]), (120, 120))
    (face,) = find_faces(sheet.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(96, 104, 92)), detector)
    assert (face.tilt + degrees + 180) % 360 - 180 == pytest.approx(0, abs=8)


def test_a_face_at_the_edge_is_found_though_its_frame_is_cut(detector):
    photo = group((480, 240), PLACES).crop((55, 40, 200, 200))
    assert len(find_faces(photo, detector)) == 1


def test_a_larger_smallest_face_does_not_lose_the_others(detector):
    # The package's own first stage fails for sizes other than 20 px, and then reports nothing.
    assert len(find_faces(group((480, 240), PLACES), detector, min_face=40)) == 3
    assert len(find_faces(group((480, 240), PLACES), detector, min_face=90)) == 1


def test_nothing_is_found_where_nothing_is(detector):
    assert find_faces(Image.new("RGB", (300, 200), (90, 90, 90)), detector) == []
    assert detector(np.zeros([8, 300, 3], np.uint8), 20, 0.9) == []


def test_weights_in_the_working_directory_are_not_unpickled(tmp_path):
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch taken'\ntR.")
    code = "from rethink_fr.faces.mtcnn_detector import MtcnnDetector; MtcnnDetector()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert not (tmp_path / "taken").exists()


def test_memory_does_not_follow_the_square_of_what_might_be_a_face():
    code = PEAK_MEMORY + (
        "import numpy as np\n"
        "from PIL import Image\n"
        "from rethink_fr.faces.mtcnn_detector import MtcnnDetector\n"
        "from rethink_fr.faces.search import find_faces\n"
        "detector = MtcnnDetector()\n"
        "find_faces(Image.new('RGB', (1600, 1200)), detector)\n"
        "before = peak()\n"
        # A chessboard of eyes and mouths: thousands of windows that look like faces.
        "face = np.random.default_rng(0).integers(0, 256, [24, 24, 3], np.uint8)\n"
        "face[6:10, 5:9] = face[6:10, 15:19] = face[17:19, 7:17] = 0\n"
        "find_faces(Image.fromarray(np.tile(face, [50, 66, 1])), detector)\n"
        "assert peak() - before < 600 << 10, peak() - before\n"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mtcnn, which is not installed; .*or give --detector FILE\.onnx"):
        MtcnnDetector()
