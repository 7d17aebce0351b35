"""Enlarging what is around the faces: Lanczos, or a SavedModel tile by tile."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.inference.background import BackgroundModel, background, check_background_model
from tests.inference.photo_calls import blue, photo, pixels, restorer


def save(path, function, height=None, width=None, dtype=tf.float32, batch=None, channels=3):
    """A SavedModel of one signature."""
    module = tf.Module()
    spec = tf.TensorSpec([batch, height, width, channels], dtype, "images")
    module.serve = tf.function(lambda images: {"made": function(images)}, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


def repeated(images):
    """Twice as large, pixel by pixel."""
    return tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2)


def textured(columns=700, rows=530, mode="RGB"):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, [rows, columns, 3], np.uint8)).convert(mode)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (700, 530)),
        ({"dtype": tf.uint8}, (300, 10)),
        ({"height": 64, "width": 96, "batch": 1}, (300, 210)),
        ({"height": 64, "width": 64}, (5, 3)),
    ],
)
def test_tiles_fit_together_without_a_seam(tmp_path, options, size):
    model = BackgroundModel(save(tmp_path / "model", repeated, **options), 2)
    picture = textured(*size)
    made = np.asarray(model(picture))
    np.testing.assert_array_equal(made, np.asarray(picture).repeat(2, axis=0).repeat(2, axis=1))


def test_a_model_that_sees_its_surroundings_makes_no_seam(tmp_path):
    def blurred(images):
        return tf.nn.avg_pool2d(images, 9, 1, "SAME")

    picture = textured(600, 300)
    made = np.asarray(BackgroundModel(save(tmp_path / "model", blurred), 1)(picture)).astype(int)
    whole = blurred(tf.constant(np.asarray(picture)[None] / 255.0, tf.float32)).numpy()[0] * 255
    assert np.abs(made - whole)[8:-8, 8:-8].max() <= 1


@pytest.mark.parametrize("upscale", [1, 2, 4])
def test_its_result_is_brought_to_the_upscale(tmp_path, upscale):
    made = BackgroundModel(save(tmp_path / "model", repeated), upscale)(Image.new("RGB", (50, 40), (10, 200, 60)))
    assert made.size == (50 * upscale, 40 * upscale) and (np.asarray(made) == [10, 200, 60]).all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_the_mode_of_a_photo_is_kept(tmp_path, mode):
    picture = textured(80, 70, mode)
    if mode != "L":
        picture.putalpha(77)
    made = BackgroundModel(save(tmp_path / "model", lambda images: images), 2)(picture)
    assert made.mode == mode and made.size == (160, 140)
    assert mode == "L" or (np.asarray(made)[..., -1] == 77).all()


def test_values_beyond_the_range_are_clipped(tmp_path):
    def wild(images):
        return tf.where(images > 0.5, images * float("inf"), images - 5.0)

    made = np.asarray(BackgroundModel(save(tmp_path / "model", wild), 1)(textured(80, 70)))
    assert set(np.unique(made)) == {0, 255}


OTHERS = {
    "four channels": (lambda images: images, {"channels": 4}, r"takes float32 .*expected pictures \[B, H, W, 3\]"),
    "doubles": (lambda images: images, {"dtype": tf.float64}, "takes float64"),
    "batches of eight": (lambda images: images, {"batch": 8}, r"takes float32 \(8, None"),
    "tiny pictures": (lambda images: images, {"height": 20, "width": 20}, "expected more than 32 px"),
    "one number": (lambda images: tf.reduce_mean(images), {}, r"makes float32 \[\] of one picture"),
    "grey": (lambda images: images[..., :1], {}, r"makes float32 \[1, 256, 256, 1\] of one picture"),
    "integers": (lambda images: tf.cast(images, tf.int32), {}, "makes int32"),
    "a half": (lambda images: images[:, ::2, ::2], {}, "makes 128 x 128 px of 256 x 256; expected 1 to 8 times"),
    "one side": (lambda images: tf.repeat(images, 2, axis=1), {}, "makes 256 x 512 px of 256 x 256"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_models_are_refused_in_one_line(tmp_path, kind):
    function, options, message = OTHERS[kind]
    with pytest.raises(ValueError, match=message) as caught:
        BackgroundModel(save(tmp_path / "model", function, **options), 1)
    assert "\n" not in str(caught.value)


def test_what_is_no_saved_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no SavedModel here; expected a folder with saved_model.pb"):
        check_background_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be used as background model") as caught:
        BackgroundModel(tmp_path, 1)
    assert "\n" not in str(caught.value)
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="expected a signature serving_default with one input and one output"):
        BackgroundModel(tmp_path / "empty", 1)


def test_faces_are_pasted_into_what_the_background_model_made(tmp_path):
    from rethink_fr.inference.folder import restore_photos
    from rethink_fr.inference.photo_plan import plan_photos
    from rethink_fr.inference.photo_report import PhotoSettings
    from tests.faces.scenes import MarkDetector

    model = save(tmp_path / "model", lambda images: 1.0 - repeated(images))
    given = photo(tmp_path / "a.png")
    settings = PhotoSettings(model="made", upscale=2, background_model=str(model))
    plan = plan_photos([given], tmp_path / "out", [], settings)
    restore_photos(restorer(blue), MarkDetector(), plan, background(model, 2))
    made, before = pixels(tmp_path / "out" / "a.png"), pixels(given)
    assert (made[100:104, 78:82] == [0, 0, 255]).all()
    assert (made[:20, 200:] == 255 - before[:10, 100:].repeat(2, axis=0).repeat(2, axis=1)).all()
