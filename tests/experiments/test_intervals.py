"""Intervals over seeds and people contain the truth as often as they say, and verdicts follow from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethink_fr.experiments.intervals import Estimate, of_pictures, of_sets, verdict

SETS = st.lists(st.lists(st.floats(-100, 100), min_size=6, max_size=6), min_size=1, max_size=5)
PEOPLE = ["a", "a", "b", "b", "c", "d"]


@pytest.mark.parametrize(
    "seeds, spread", [(3, (1.0, 1.0, 0.5, 1.0)), (3, (1.0, 0.2, 0.2, 0.2)), (5, (0.2, 1.0, 0.2, 1.0))]
)
def test_intervals_contain_the_truth(seeds, spread):
    """0.956 to 0.98 of 3,000 each; here 1,000, whose standard error is 0.007."""
    generator = np.random.default_rng(1)
    people, each = 26, 4
    names = [str(number // each) for number in range(people * each)]
    inside = 0
    for _ in range(1000):
        of_seed = generator.normal(0, spread[0], (seeds, 1))
        of_person = np.repeat(generator.normal(0, spread[1], people), each)
        of_both = np.repeat(generator.normal(0, spread[2], (seeds, people)), each, axis=1)
        low, high = of_pictures(
            of_seed + of_person + of_both + generator.normal(0, spread[3], of_both.shape), names
        ).interval
        inside += low <= 0 <= high
    assert inside / 1000 >= 0.935


@given(SETS, st.floats(-10, 10), st.floats(0.1, 10))
def test_intervals_follow_a_change_of_unit(values, shift, scale):
    values = np.array(values)
    here, there = of_pictures(values, PEOPLE), of_pictures(scale * values + shift, PEOPLE)
    np.testing.assert_allclose(there.mean, scale * here.mean + shift, atol=1e-8)
    np.testing.assert_allclose(there.interval, scale * np.array(here.interval) + shift, atol=1e-6, rtol=1e-5)
    assert here.interval[0] <= here.mean <= here.interval[1]


@given(SETS, st.permutations(range(6)))
def test_the_order_of_pictures_does_not_matter(values, order):
    values = np.array(values)
    here, there = of_pictures(values, PEOPLE), of_pictures(values[:, order], [PEOPLE[place] for place in order])
    np.testing.assert_allclose(here.interval, there.interval, atol=1e-8, rtol=1e-6)


@given(SETS)
def test_two_variants_change_places(values):
    values = np.array(values)
    difference, reverse = of_pictures(values, PEOPLE), of_pictures(-values, PEOPLE)
    swapped = {"better": "worse", "worse": "better"}
    assert verdict(reverse, "higher") == verdict(difference, "lower")
    assert verdict(reverse, "higher") == swapped.get(verdict(difference, "higher"), verdict(difference, "higher"))


def test_pictures_of_one_person_count_as_alike():
    values = np.array([[0.0, 0.1, 1.0, 1.1, 2.0, 2.1]])
    alone, grouped = of_pictures(values, "abcdef"), of_pictures(values, "aabbcc")
    assert np.ptp(grouped.interval) > np.ptp(alone.interval)


def test_nothing_is_claimed_of_what_is_not_known():
    assert of_sets([3.0]) == Estimate(3.0, None, (3.0,))
    assert of_pictures(np.array([[1.0, np.inf]]), "ab").interval is None
    assert verdict(of_pictures(np.array([[1.0, 1.1, 1.2]]), "abc"), "higher") == "one seed"
    assert verdict(of_sets([np.inf, 1.0]), "higher") == "too close to tell"
    assert verdict(of_sets([1.0, 1.01, 0.99]), "higher") == "better"
    assert verdict(of_sets([1.0, 1.01, 0.99]), "lower") == "worse"
    for wrong in (np.zeros([0, 2]), np.zeros([2]), np.zeros([2, 3])):
        with pytest.raises(ValueError, match="expected"):
            of_pictures(wrong, "ab")
    with pytest.raises(ValueError, match="expected one for each seed"):
        of_sets([])
