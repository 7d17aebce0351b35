"""Pictures that are said to be one framed face, and clearly are not."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.faces.mtcnn_detector import MtcnnDetector
from rethink_fr.inference.framing import framing_note, size_notes
from tests.faces.scenes import group


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


@pytest.mark.parametrize("side", [64, 128, 512])
def test_framed_faces_are_accepted(detector, side):
    assert all(framing_note(draw_face(number, 0, side).image, detector) is None for number in range(5))


@pytest.mark.parametrize("reduced", [4, 8])
def test_degraded_ones_too(detector, reduced):
    """What super-resolution is for must not be told off."""
    for number in range(5):
        small = Image.fromarray(draw_face(number, 0, 256).image).resize((256 // reduced,) * 2, Image.Resampling.BOX)
        assert framing_note(np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC)), detector) is None


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([], "no face was found"),
        ([(10, 60, 120), (130, 60, 120)], "2 faces were found"),
        ([(130, 130, 120)], "its face is elsewhere, turned, or of another size than FFHQ's"),
    ],
)
def test_what_is_not_one_framed_face_is_told(detector, places, message):
    note = framing_note(np.asarray(group((256, 256), places)), detector)
    assert note is not None and note.startswith(message)
    assert note.endswith("--aligned is for single faces framed as in FFHQ, leave it out for whole photos")


def test_a_turned_face_is_told(detector):
    turned = np.asarray(Image.fromarray(draw_face(0, 0, 256).image).rotate(35))
    assert "turned" in framing_note(turned, detector)


def test_a_picture_that_loses_something_is_told():
    assert size_notes((512, 512), 512) == [] and size_notes((640, 650), 512) == []
    assert size_notes((1024, 1030), 512) == [
        "has 1024 px a side, the model makes 512 of them, so that fine detail may be lost"
    ]
    (note,) = size_notes((500, 441), 512)
    assert note.startswith("is not square (500 x 441 px): only its middle was restored; --aligned is for single faces")
