"""keras-cv's transformations under draws of our own."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.data.augmentation import augment


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def test_flip_is_an_exact_mirror_image_about_as_often_as_asked():
    image = picture()
    numbers = tf.range(400, dtype=tf.int64)
    results = tf.function(
        lambda: tf.map_fn(lambda i: augment(image, 0, i, flip=0.25), numbers, fn_output_signature=tf.uint8)
    )().numpy()
    mirrored = (results == image[:, ::-1]).all(axis=(1, 2, 3))
    assert ((results == image).all(axis=(1, 2, 3)) | mirrored).all()
    assert 0.25 * 400 - 35 < mirrored.sum() < 0.25 * 400 + 35  # 4 standard deviations


def test_flip_zero_and_one_are_never_and_always():
    image = picture()
    for index in range(10):
        np.testing.assert_array_equal(augment(image, 1, index, flip=0.0), image)
        np.testing.assert_array_equal(augment(image, 1, index, flip=1.0), image[:, ::-1])


def test_the_same_seed_and_index_give_the_same_image_in_any_order():
    image = picture()
    forward = [augment(image, 2, index, 0.5, 0.5).numpy() for index in range(6)]
    dataset = tf.data.Dataset.range(5, -1, -1).map(lambda index: augment(image, 2, index, 0.5, 0.5), 4)
    np.testing.assert_array_equal(np.stack(list(dataset))[::-1], forward)
    assert len({result.tobytes() for result in forward}) == 6


def test_jitter_grows_with_its_strength_and_stays_uint8():
    grey = np.full((16, 16, 3), 120, np.uint8)

    def change(strength):
        results = [augment(grey, 0, index, 0.0, strength).numpy().astype(int) for index in range(40)]
        return np.abs(np.stack(results) - 120).max()

    # Contrast and saturation leave an even grey alone; brightness moves it by at most 127.5 * strength.
    assert 0 < change(0.1) <= 13
    assert 40 < change(0.5) <= 64


def test_jitter_changes_brightness_contrast_and_saturation_independently():
    image = np.tile(np.linspace(90, 160, 16)[None, :, None], (16, 1, 3)) + np.array([15, 0, -15])
    image = image.astype(np.uint8)
    statistics = []
    for index in range(60):
        result = augment(image, 3, index, 0.0, 0.3).numpy().astype(float)
        statistics.append((result.mean(), result.std(axis=(0, 1)).mean(), np.ptp(result, axis=-1).mean()))
    assert (np.std(statistics, axis=0) > [5, 1, 1]).all()
    assert np.abs(np.corrcoef(np.transpose(statistics))[0, 1:]).max() < 0.5


@pytest.mark.parametrize("arguments", [{"flip": 1.5}, {"flip": -0.1}, {"color_jitter": 2.0}])
def test_probabilities_and_strengths_outside_0_to_1_are_refused(arguments):
    with pytest.raises(ValueError, match="within 0 to 1"):
        augment(picture(), 0, 0, **arguments)


def test_float_images_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        augment(picture().astype(np.float32), 0, 0)
