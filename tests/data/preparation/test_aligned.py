"""Photos as faces: the largest one of each, framed as in FFHQ, with its points."""

import numpy as np
import pytest

from rethink_fr.data.preparation import picture as picture_module
from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.opening import open_source
from rethink_fr.faces.search import find_faces
from rethink_fr.pictures.files import write_image
from rethink_fr.pictures.geometry import ffhq_points, mapped, similarity
from tests.faces.scenes import MarkDetector, marked


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_module, "_detector", MarkDetector)
    scenes = {"one": [(60, 40, 40)], "two": [(20, 50, 30), (90, 40, 60)], "none": [], "edge": [(0, 0, 60)]}
    for name, marks in scenes.items():
        write_image(tmp_path / "in" / f"{name}.png", np.asarray(marked((200, 150), marks)))
    return tmp_path / "in"


def test_the_largest_face_of_each_photo_is_taken_and_the_others_are_listed(photos, tmp_path):
    report = prepare(photos, tmp_path / "out", size=64, align=True, progress=False)
    assert report.written == 2 and report.enlarged == 1
    reasons = dict(report.unreadable)
    assert reasons["none.png"] == "no face was found" and "of the face's frame lie outside" in reasons["edge.png"]
    source = open_source(tmp_path / "out", 64)
    columns = source.columns()
    assert [found.name for found in columns] == ["one.png", "two.png"]
    for number, found in enumerate(columns):
        # All marks have their points at the same places, so that the squares show the same.
        np.testing.assert_allclose(found.landmarks, columns[0].landmarks, atol=0.5)
        assert source.read(number).max() == 255
    np.testing.assert_allclose(columns[0].landmarks.mean(axis=0), ffhq_points(64).mean(axis=0), atol=0.01)


def test_landmarks_of_a_table_are_mapped_as_the_face_is(photos, tmp_path):
    (face,) = find_faces(marked((200, 150), [(60, 40, 40)]), MarkDetector())
    (tmp_path / "c.csv").write_text("name,chin_x,chin_y\none,80,75\n", encoding="utf-8")
    report = prepare(photos, tmp_path / "out", size=64, align=True, columns=tmp_path / "c.csv", progress=False)
    assert report.written == 1
    (found,) = open_source(tmp_path / "out", 64).columns()
    expected = mapped(similarity(face.points, ffhq_points(64)), np.array([[80.0, 75.0]]))
    np.testing.assert_allclose(found.landmarks, expected, atol=1e-4)
