"""DiffAugment: per sample, seeded, differentiable, in range."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers.diff_augment import apply_augmentation, augmentation_draws, diff_augment

POLICIES = ("color", "translation", "color,translation", "cutout", "color,translation,cutout")
NEUTRAL = 0.5  # of every draw but cutout's: no change of colour, no translation


def images(batch: int = 4, height: int = 16, width: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, [batch, height, width, 3]).astype(np.float32)


def draws(batch: int, **columns: np.ndarray) -> tf.Tensor:
    """Neutral draws but for the named columns."""
    names = ("brightness", "saturation", "contrast", "rows", "columns", "hole_row", "hole_column")
    values = np.full([batch, len(names)], NEUTRAL, np.float32)
    for name, value in columns.items():
        values[:, names.index(name)] = value
    return tf.constant(values)


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shifted, zeros moving in."""
    height, width, _ = image.shape
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


# ---- the whole


@pytest.mark.parametrize("policy", POLICIES)
def test_two_copies_of_an_image_come_out_different(policy):
    outputs = diff_augment(np.repeat(images(1), 8, axis=0), policy, seed=1).numpy()
    assert any(np.any(output != outputs[0]) for output in outputs[1:])
    if "color" in policy:
        assert all(np.any(output != outputs[0]) for output in outputs[1:])


@pytest.mark.parametrize("policy", POLICIES)
def test_the_seed_decides(policy):
    one = diff_augment(images(), policy, seed=7)
    np.testing.assert_array_equal(diff_augment(images(), policy, seed=7), one)
    np.testing.assert_array_equal(diff_augment(images(), policy, seed=tf.constant([7, 0], tf.int64)), one)
    assert np.any(diff_augment(images(), policy, seed=8) != one)
    assert np.any(diff_augment(images(), policy, seed=tf.constant([7, 1], tf.int64)) != one)


def test_the_default_is_color_and_translation():
    np.testing.assert_array_equal(diff_augment(images(), seed=3), diff_augment(images(), "color,translation", seed=3))


def test_the_empty_policy_changes_nothing():
    np.testing.assert_array_equal(diff_augment(images(), "", seed=1), images())


@pytest.mark.parametrize("policy", ["colour", "color,rotation", "color, translation"])
def test_an_unknown_policy_is_an_error(policy):
    with pytest.raises(ValueError, match="unknown policy.*expected some of color, translation, cutout"):
        diff_augment(images(), policy)


def test_the_policy_is_applied_in_order():
    chosen = draws(1, brightness=1.0, rows=1.0 - 1e-6)
    colour_first = apply_augmentation(images(1), chosen, "color,translation").numpy()
    colour_last = apply_augmentation(images(1), chosen, "translation,color").numpy()
    np.testing.assert_array_equal(colour_first[0, :2], 0)
    np.testing.assert_allclose(colour_last[0, :2], 0.5, atol=1e-6)


def test_each_row_of_draws_decides_one_sample():
    chosen = augmentation_draws(tf.constant(4), 5)
    assert chosen.shape[0] == 4 and np.all(chosen >= 0) and np.all(chosen < 1)
    together = apply_augmentation(images(), chosen, "color,translation,cutout")
    np.testing.assert_array_equal(together, diff_augment(images(), "color,translation,cutout", seed=5))
    for sample in range(4):
        rows = slice(sample, sample + 1)
        alone = apply_augmentation(images()[rows], chosen[rows], "color,translation,cutout")
        np.testing.assert_allclose(alone[0], together[sample], atol=1e-6)  # order of the mean's sum


def test_a_graph_of_unknown_batch_is_traced_once():
    @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3])])
    def augmented(pictures):
        outputs = diff_augment(pictures, "color,translation,cutout", seed=2)
        assert outputs.shape.as_list() == [None, 16, 16, 3]
        return outputs

    for batch in (1, 4):
        expected = diff_augment(images(batch), "color,translation,cutout", seed=2)
        np.testing.assert_allclose(augmented(images(batch)), expected, atol=1e-6)
    assert augmented.experimental_get_tracing_count() == 1


# ---- colour


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_brightness_adds_up_to_half_the_range_to_each_side(draw):
    outputs = apply_augmentation(images(), draws(4, brightness=draw), "color")
    np.testing.assert_allclose(outputs, images() + draw - 0.5, atol=1e-6)


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_saturation_scales_the_distance_from_grey_by_nought_to_two(draw):
    grey = images().mean(3, keepdims=True)
    outputs = apply_augmentation(images(), draws(4, saturation=draw), "color")
    np.testing.assert_allclose(outputs, grey + 2 * draw * (images() - grey), atol=1e-6)


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_contrast_scales_the_distance_from_the_images_mean_by_a_half_to_one_and_a_half(draw):
    mean = images().mean((1, 2, 3), keepdims=True)
    outputs = apply_augmentation(images(), draws(4, contrast=draw), "color")
    np.testing.assert_allclose(outputs, mean + (0.5 + draw) * (images() - mean), atol=1e-6)


def test_drawn_brightness_fills_its_range():
    added = diff_augment(np.zeros([400, 2, 2, 3], np.float32), "color", seed=0).numpy()[:, 0, 0, 0]
    # A grey picture stays grey: what is left is brightness. 400 draws leave gaps of 1/400 at the ends.
    assert -0.5 <= added.min() < -0.48 and 0.48 < added.max() <= 0.5 + 1e-6
    assert abs(added.mean()) < 0.06  # 4 standard errors


# ---- translation


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 24), (32, 16)])
def test_translation_moves_by_up_to_an_eighth_and_zeros_move_in(height, width):
    steps = [
        (down, right) for down in range(-height // 8, height // 8 + 1) for right in range(-width // 8, width // 8 + 1)
    ]
    shares = [
        ((down + height // 8 + 0.5) / (height // 8 * 2 + 1), (right + width // 8 + 0.5) / (width // 8 * 2 + 1))
        for down, right in steps
    ]
    rows, columns = np.array(shares).T
    picture = images(1, height, width)
    outputs = apply_augmentation(
        np.repeat(picture, len(steps), axis=0), draws(len(steps), rows=rows, columns=columns), "translation"
    )
    for (down, right), output in zip(steps, outputs):
        np.testing.assert_array_equal(output, moved(picture[0], down, right))


def test_drawn_translations_take_every_step_and_none_beyond_an_eighth():
    picture = np.zeros([300, 16, 16, 3], np.float32)
    picture[:, 8, 8] = 1
    outputs = diff_augment(picture, "translation", seed=0).numpy()[..., 0]
    places = [np.argwhere(output == 1) - 8 for output in outputs]
    assert all(len(place) == 1 for place in places)
    steps = {tuple(place[0]) for place in places}
    assert steps == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


# ---- cutout


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.5, 1.0 - 1e-6])
def test_cutout_zeroes_a_square_of_half_the_side_and_nothing_else(draw):
    outputs = apply_augmentation(images(1), draws(1, hole_row=draw, hole_column=0.5), "cutout").numpy()[0]
    centre = int(draw * 17)
    expected = images(1)[0]
    expected[max(centre - 4, 0) : max(centre + 4, 0), 4:12] = 0
    np.testing.assert_array_equal(outputs, expected)


# ---- differentiable


@pytest.mark.parametrize("policy", POLICIES)
def test_the_gradient_is_the_adjoint(policy):
    """Augmentation is affine in the images: <A u, w> = <u, A^T w> for any u and w, with A^T w from the tape."""
    pictures, step, weights = tf.constant(images()), images(seed=1), images(seed=2)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        outputs = diff_augment(pictures, policy, seed=4)
        loss = tf.reduce_sum(outputs * weights)
    gradient = tape.gradient(loss, pictures)
    change = diff_augment(pictures + step, policy, seed=4) - outputs
    # 1e-3: float32 sums of 3072 products of both signs.
    np.testing.assert_allclose(np.sum(change * weights), np.sum(gradient * step), rtol=1e-4, atol=1e-3)


def test_the_gradient_of_translation_moves_back():
    pictures, weights = tf.constant(images(1)), images(1, seed=2)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        outputs = apply_augmentation(pictures, draws(1, rows=1.0 - 1e-6, columns=0.0), "translation")
        loss = tf.reduce_sum(outputs * weights)
    np.testing.assert_array_equal(outputs[0], moved(images(1)[0], 2, -2))
    np.testing.assert_array_equal(tape.gradient(loss, pictures)[0], moved(weights[0], -2, 2))
