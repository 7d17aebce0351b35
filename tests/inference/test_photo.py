"""One photo: what is written for it, by every option."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.inference.photo import tails
from rethink_fr.inference.photo_report import PhotoSettings
from tests.inference.photo_calls import SIDE, call, names, noisy, photo, pixels, same

TWO = [(10, 20, 40), (110, 30, 50)]
WIDE = (190, 100)


def middle(left, top, side):
    """Where a face of `TWO` is certainly pasted whole."""
    return slice(top + side // 2, top + side // 2 + 8), slice(left + side // 2 - 4, left + side // 2 + 4)


def test_every_face_is_restored_and_the_rest_is_as_it_was(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    report = call([given], tmp_path / "out")
    (file,) = report.files
    assert file.outputs == ("a.png",) and len(file.faces) == 2 and not file.copied and file.size == WIDE
    made, before = pixels(tmp_path / "out" / "a.png"), pixels(given)
    for place in TWO:
        assert (made[middle(*place)] == [0, 0, 255]).all()
    assert (made[:, 180:] == before[:, 180:]).all() and (made != before).any()


def test_a_model_that_changes_nothing_changes_no_byte_of_the_pixels(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    call([given], tmp_path / "out", same)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a.png"), pixels(given))


@pytest.mark.parametrize("upscale", [2, 4])
def test_a_photo_is_enlarged_and_its_faces_are_where_they_were(tmp_path, upscale):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    call([given], tmp_path / "out", upscale=upscale)
    made = pixels(tmp_path / "out" / "a.png")
    assert made.shape == (100 * upscale, 190 * upscale, 3)
    for left, top, side in TWO:
        assert (made[middle(left * upscale, top * upscale, side * upscale)] == [0, 0, 255]).all()
    wanted = Image.open(given).resize((190 * upscale, 100 * upscale), Image.Resampling.LANCZOS)
    call([given], tmp_path / "same", same, upscale=upscale)
    np.testing.assert_array_equal(pixels(tmp_path / "same" / "a.png"), np.asarray(wanted))


def test_the_face_in_the_middle_alone(tmp_path):
    given = photo(tmp_path / "a.png", [(10, 20, 40), (75, 30, 40), (140, 20, 40)], WIDE)
    (file,) = call([given], tmp_path / "out", only_center_face=True).files
    assert len(file.faces) == 1 and file.faces[0].box[0] == pytest.approx(74.5)


def test_smaller_faces_stay_as_they_were(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    (file,) = call([given], tmp_path / "out", min_face=45).files
    assert [round(face.size) for face in file.faces] == [50]
    made = pixels(tmp_path / "out" / "a.png")
    assert (made[middle(*TWO[0])] != [0, 0, 255]).any()


def test_faces_alone_are_squares_of_the_models_resolution(tmp_path):
    given = photo(tmp_path / "a.jpg", TWO, WIDE)
    (file,) = call([given], tmp_path / "out", face_only=True).files
    assert file.outputs == ("a_face1.png", "a_face2.png")
    for name in file.outputs:
        assert (pixels(tmp_path / "out" / name) == [0, 0, 255]).all()
        assert pixels(tmp_path / "out" / name).shape == (SIDE, SIDE, 3)
    empty = photo(tmp_path / "b.jpg", [], WIDE)
    (file,) = call([empty], tmp_path / "out2", face_only=True).files
    assert file.outputs == () and not file.error and "no face was found" in file.notes


def test_names_get_the_suffix_and_the_format_that_is_asked_for(tmp_path):
    given = photo(tmp_path / "a.JPG", TWO, WIDE)
    for extension, name in (("auto", "a_new.JPG"), ("png", "a_new.png"), ("webp", "a_new.webp"), ("tif", "a_new.tif")):
        out = tmp_path / extension
        (file,) = call([given], out, suffix="_new", extension=extension).files
        assert file.outputs == (name,)
        with Image.open(out / name) as image:
            assert image.format == {"auto": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF"}[extension]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_photos_stay_grey_unless_told_otherwise(tmp_path, mode):
    given = tmp_path / "a.png"
    photo(given, TWO, WIDE)
    Image.open(given).convert("L").convert(mode).save(given)

    class Always:
        """Finds the marks where they were, whatever their colour."""

        name, side, smallest, largest, tells_upright = "always", 200, 10, 1000, False

        def __call__(self, picture, smallest, threshold):
            from rethink_fr.faces.face import Face
            from tests.faces.test_search import expected

            if picture.shape[1] != WIDE[0]:
                return []
            return [Face((x - 0.5, y - 0.5, x + s - 0.5, y + s - 0.5), expected(x, y, s), 1.0) for x, y, s in TWO]

    call([given], tmp_path / "grey", detector=Always())
    with Image.open(tmp_path / "grey" / "a.png") as image:
        assert image.mode == mode
    made = pixels(tmp_path / "grey" / "a.png").reshape(100, 190, -1)
    assert np.ptp(made, axis=2).max() == 0 and made[middle(*TWO[0])].mean() == pytest.approx(29, abs=1)  # luma of blue
    call([given], tmp_path / "colour", detector=Always(), keep_grey=False)
    assert (pixels(tmp_path / "colour" / "a.png")[middle(*TWO[0])] == [0, 0, 255]).all()


def test_transparency_is_kept(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE, "RGBA")
    with Image.open(given) as image:
        image.putalpha(image.convert("L").point(lambda level: 255 - level // 2))
        image.save(given)
    call([given], tmp_path / "out")
    made, before = pixels(tmp_path / "out" / "a.png"), pixels(given)
    np.testing.assert_array_equal(made[..., 3], before[..., 3])
    assert (made[..., :3] != before[..., :3]).any()


def test_a_weak_blend_is_half_way(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    call([given], tmp_path / "whole")
    call([given], tmp_path / "half", blend=0.5)
    wanted = (pixels(tmp_path / "whole" / "a.png") + pixels(given)) / 2
    np.testing.assert_allclose(pixels(tmp_path / "half" / "a.png"), wanted, atol=1)


def test_colours_are_matched_to_those_that_were_there(tmp_path):
    given = photo(tmp_path / "a.png", [(20, 30, 60)], (120, 120))

    def darker(images):
        return {"restored": images * 0.5 - 0.5}

    call([given], tmp_path / "as_restored", darker)
    call([given], tmp_path / "matched", darker, match_colours=True)
    region = (slice(45, 80), slice(30, 70))
    before = pixels(given)[region].mean()
    matched, restored = (pixels(tmp_path / name / "a.png")[region].mean() for name in ("matched", "as_restored"))
    assert abs(matched - before) < 0.2 * abs(restored - before)


def test_samples_come_with_a_sheet_and_a_map_of_doubt(tmp_path):
    given = photo(tmp_path / "a.png", TWO, WIDE)
    (file,) = call([given], tmp_path / "out", noisy, samples=3).files
    assert file.outputs == ("a_1.png", "a_2.png", "a_3.png", "a_sheet.png", "a_doubt.png")
    assert names(tmp_path / "out") == ["a_1.png", "a_2.png", "a_3.png", "a_doubt.png", "a_sheet.png", "report.json"]
    made = np.stack([pixels(tmp_path / "out" / name) for name in file.outputs[:3]])
    spread = made.std(axis=0).mean(axis=2)
    inside = spread[middle(*TWO[0])]
    assert inside.min() > 1 and spread[:, 180:].max() == 0
    assert all(face.spread > 1 for face in file.faces)
    doubt = pixels(tmp_path / "out" / "a_doubt.png")
    assert doubt.shape[0] > 100 and np.ptp(doubt[middle(*TWO[0])], axis=2).max() > 30  # coloured where they differ
    assert np.ptp(doubt[:100, 180:190], axis=2).max() == 0  # grey elsewhere


def test_the_noise_of_a_face_depends_on_its_pixels_and_the_seed_alone(tmp_path):
    one, other = photo(tmp_path / "one.png", TWO, WIDE), photo(tmp_path / "other.png", TWO[1:], WIDE)
    call([one, other], tmp_path / "both", noisy)
    call([other], tmp_path / "alone", noisy)
    call([other], tmp_path / "seed", noisy, seed=1)
    place = middle(*TWO[1])
    found = [pixels(tmp_path / folder / "other.png")[place] for folder in ("both", "alone", "seed")]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], pixels(tmp_path / "both" / "one.png")[place])
    assert (found[0] != found[2]).any()


def test_the_report_says_where_each_face_is_and_what_became_of_it(tmp_path):
    given = photo(tmp_path / "a.png", [(-15, 20, 60), (110, 30, 50)], WIDE)

    def embed(images):
        means = images.reshape(len(images), -1, 3).mean(axis=1)
        return means.astype(np.float32) + 1.0

    (file,) = call([given], tmp_path / "out", embed=embed).files
    face = file.faces[-1]
    assert face.box == pytest.approx((109.5, 29.5, 159.5, 79.5), abs=0.01) and face.size == 50 and face.tilt == 0
    assert face.points[0] == pytest.approx((124.5, 49.5), abs=0.01)
    assert 0.2 < face.model_pixels < 2 and face.outside == pytest.approx(0, abs=0.2)
    assert len(face.consistency) == 1 and 0 < face.consistency[0] < 40
    assert len(face.identity_angle) == 1 and 5 < face.identity_angle[0] < 90
    (kept,) = call([given], tmp_path / "same", same, embed=embed).files
    assert kept.faces[-1].identity_angle == pytest.approx((0,), abs=0.1) and kept.faces[-1].consistency == (100.0,)


def test_a_face_with_more_detail_than_the_model_holds_is_named(tmp_path):
    small = call([photo(tmp_path / "a.png", [(5, 5, 8)], (40, 40))], tmp_path / "1", min_face=5).files[0]
    large = call([photo(tmp_path / "b.png", [(40, 40, 100)], (190, 190))], tmp_path / "2").files[0]
    assert not small.faces[0].larger_than_model and small.notes == ()
    assert large.faces[0].larger_than_model and "larger than the model's 32 px" in large.notes[0]


def test_of_a_crowd_as_many_as_memory_holds_and_it_is_said(tmp_path, monkeypatch):
    from rethink_fr.inference import photo as module

    monkeypatch.setattr(module, "_SQUARES", 2 * 2 * 3 * SIDE**2)
    given = photo(tmp_path / "a.png", [(10, 20, 40), (75, 30, 40), (140, 20, 40)], WIDE)
    (file,) = call([given], tmp_path / "out").files
    assert len(file.faces) == 2 and "3 faces were found; memory for 2 was set aside" in file.notes[0]


def test_an_orientation_is_applied_and_not_written_again(tmp_path):
    upright = Image.open(photo(tmp_path / "a.png", TWO, WIDE))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    call([tmp_path / "turned.png"], tmp_path / "out")
    with Image.open(tmp_path / "out" / "turned.png") as image:
        assert image.size == WIDE and image.getexif().get(0x0112) == 1
    call([tmp_path / "a.png"], tmp_path / "out2")
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "turned.png"), pixels(tmp_path / "out2" / "a.png"))


def test_the_names_of_what_a_photo_becomes():
    settings = PhotoSettings(model="m")
    assert tails(settings, 0) == tails(settings, 3) == [""]
    several = PhotoSettings(model="m", samples=2)
    assert tails(several, 0) == [""] and tails(several, 1) == ["_1", "_2", "_sheet", "_doubt"]
    faces = PhotoSettings(model="m", samples=2, face_only=True)
    assert tails(faces, 0) == [] and tails(faces, 1) == ["_face1_1", "_face1_2", "_sheet"]
