"""The page's work on photos: what visitors are told, that they get their own results, and that nothing is left."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rethink_fr.app import desk as desks
from rethink_fr.app.desk import Asked, Desk, PlainError
from rethink_fr.app.view import drawn, summary
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.system import Inference
from tests.app.echo import SIDE, OneFace, restorer


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "desk").mkdir()
    return Desk(restorer(), OneFace(), "echo", tmp_path / "desk")


def photo(tmp_path, name="me.jpg", colour=(200, 120, 80), size=(300, 200)):
    path = tmp_path / name
    Image.new("RGB", size, colour).save(path)
    return path


def restored(desk, visitor, asked=None):
    return desk.restore(visitor, asked or Asked(samples=2), lambda part, what: None)


def test_a_photo_becomes_pictures_to_look_at_and_files_to_keep(desk, tmp_path):
    shown = desk.take("anne", photo(tmp_path))
    assert shown.size == (300, 200) and shown.before.is_file() and not shown.after
    steps = []
    shown = desk.restore("anne", Asked(samples=3), lambda part, what: steps.append(what))
    assert steps == ["Finding faces", "Restoring 1 face", "Putting them back"]
    assert [path.name for path in shown.downloads] == [f"me_restored_{number}.jpg" for number in (1, 2, 3)]
    assert [path.name for path in shown.extras] == ["me_restored_sheet.png", "me_restored_doubt.png"]
    for path in (*shown.downloads, shown.doubt, shown.before):
        assert Image.open(path).size == (300, 200)
    middles = [np.asarray(Image.open(path))[100, 150].astype(int) for path in shown.downloads]
    assert all(np.abs(middle - [200, 120, 80]).max() > 10 for middle in middles)
    assert np.abs(middles[0] - middles[1]).max() > 3
    assert summary(shown) == "1 face restored, 3 times each. What you see is plausible, not evidence."
    page = drawn(shown)
    assert page.count('type="radio"') == 3 and 'type="range"' in page and "data-doubt" in page


def test_the_same_seed_gives_the_same_and_noise_0_one_answer(desk, tmp_path):
    desk.take("anne", photo(tmp_path))

    def files(**asked):
        return [path.read_bytes() for path in restored(desk, "anne", Asked(samples=2, **asked)).downloads]

    first = files(seed=1)
    assert first == files(seed=1) != files(seed=2)
    one, other = files(noise_scale=0.0)
    assert one == other


def test_a_model_with_a_fidelity_is_asked_with_it_and_gives_one_answer(tmp_path):
    asked = []

    def answer(images, fidelity):
        asked.append(float(fidelity))
        return {"restored": images * 0.5}

    model = LoadedRestorer(Inference(None, answer, SIDE, None, "fidelity", ()))
    desk = Desk(model, OneFace(), "with fidelity", tmp_path)
    desk.take("anne", photo(tmp_path))
    shown = restored(desk, "anne", Asked(samples=4, fidelity=0.25))
    assert asked == [0.25]
    assert len(shown.downloads) == 1 and shown.downloads[0].name == "me_restored.jpg" and shown.doubt is None
    assert 'type="radio"' not in drawn(shown)


def test_visitors_get_their_own_and_nothing_is_left(desk, tmp_path, monkeypatch):
    desk.take("anne", photo(tmp_path, "a.png", (250, 10, 10)))
    desk.take("ben", photo(tmp_path, "b.png", (10, 10, 250)))
    anne, ben = restored(desk, "anne"), restored(desk, "ben")
    assert np.asarray(Image.open(anne.downloads[0]))[5, 5].tolist() == [250, 10, 10]
    assert np.asarray(Image.open(ben.downloads[0]))[5, 5].tolist() == [10, 10, 250]
    again = restored(desk, "anne")
    assert not anne.downloads[0].exists() and again.downloads[0].exists()  # only the latest is kept
    desk.take("anne", photo(tmp_path, "c.png"))
    assert not again.downloads[0].exists() and ben.downloads[0].exists()

    (desk.uploads / "ab").mkdir()
    (desk.uploads / "partial").write_bytes(b"x")
    desk.tidy()
    assert len(list(desk.results.iterdir())) == 2 and len(list(desk.uploads.iterdir())) == 2
    now = time.monotonic()
    desk.leave("anne")
    monkeypatch.setattr(desks.time, "monotonic", lambda: now + 700)
    for upload in desk.uploads.iterdir():
        os.utime(upload, (0, 0))
    desk.tidy()
    assert list(desk.results.iterdir()) == [ben.before.parent] and not list(desk.uploads.iterdir())
    monkeypatch.setattr(desks.time, "monotonic", lambda: now + 4000)
    desk.tidy()
    assert not list(desk.results.iterdir())
    with pytest.raises(PlainError, match="Choose a photo first"):
        restored(desk, "ben")


def test_a_photo_without_a_face_is_said_to_have_none(desk, tmp_path):
    desk.take("anne", photo(tmp_path, colour=(255, 255, 255)))
    shown = restored(desk, "anne")
    assert not shown.after and "No face was found" in summary(shown)
    assert 'type="range"' not in drawn(shown)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("text.png", b"not a picture", "text.png cannot be used: not an image in a known format"),
        ("empty.jpg", b"", "empty.jpg cannot be used: the file is empty"),
    ],
)
def test_what_is_no_photo_is_named_in_plain_words(desk, tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PlainError, match=said):
        desk.take("anne", tmp_path / name)
    with pytest.raises(PlainError, match="Choose a photo first"):
        restored(desk, "anne")


def test_limits_on_bytes_pixels_and_room(desk, tmp_path, monkeypatch):
    path = photo(tmp_path)
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "1000")
    with pytest.raises(PlainError, match="60,000 pixels, expected at most 1,000"):
        desk.take("anne", path)
    monkeypatch.setattr(desks, "MAX_BYTES", 100)
    with pytest.raises(PlainError, match="larger than 0 MB"):
        desk.take("anne", path)
    monkeypatch.undo()
    desk.take("anne", path)
    monkeypatch.setattr(desks, "_MOST_KEPT", 100)
    assert desk.full()
    with pytest.raises(PlainError, match="no room"):
        desk.take("ben", path)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(samples=0),
        Asked(samples=desks.MAX_SAMPLES + 1),
        Asked(noise_scale=float("nan")),
        Asked(noise_scale=1.5),
        Asked(fidelity=-1.0),
        Asked(seed=-1),
        Asked(seed=1 << 40),
    ],
)
def test_settings_out_of_range_are_refused(desk, tmp_path, asked):
    desk.take("anne", photo(tmp_path))
    with pytest.raises(PlainError):
        restored(desk, "anne", asked)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ('<img src=x onerror="alert(1)">.png', "_img src_x onerror__alert(1)__.png"),
        ("...png", "photo.png"),
        ("日本 é.png", "日本 é.png"),
        ("a" * 300 + ".png", "a" * 80 + ".png"),
        ("x\udc80\n.png", "x_udc80_n.png"),
    ],
)
def test_names_of_uploads_are_made_safe(name, kept):
    assert desks._clean(name) == kept


def test_names_and_notes_are_text_in_the_page(desk, tmp_path):
    shown = desk.take("anne", photo(tmp_path))
    page = drawn(replace(shown, name="<b>&", notes=("holds <i>several</i>",)))
    assert "<b>" not in page and "<i>" not in page and "Holds &lt;i&gt;" in page
