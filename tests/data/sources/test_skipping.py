"""Pictures that cannot be read while training: replaced, counted, and not too many."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.data.pipeline import failure_of_reads, fixed_batch, training_batches
from rethink_fr.data.sources.image_source import SkippingSource, allowed_unreadable
from rethink_fr.data.sources.opening import MemorySource
from rethink_fr.errors import RunFailure
from rethink_fr.pictures.files import UnreadableImage


class Failing(MemorySource):
    """Images whose every pixel is their number; some cannot be read."""

    def __init__(self, count, bad):
        super().__init__(np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)))
        self._bad = bad

    def _load(self, slot):
        if slot in self._bad:
            raise UnreadableImage(f"{slot}.png", "gone")
        return super()._load(slot)


def skipping(count, bad):
    return SkippingSource(Failing(count, bad), "photos", "put them back")


def test_the_next_readable_picture_takes_the_place_whatever_the_order():
    source = skipping(8, {2, 3, 7})
    told = []
    source.on_skip = lambda name, reason: told.append((name, reason))
    numbers = [int(source.read(index)[0, 0, 0]) for index in (7, 3, 2, 1, 0, 7, 2)]
    assert numbers == [0, 4, 4, 1, 0, 0, 4]
    assert told == source.unreadable == [("7.png", "gone"), ("3.png", "gone"), ("2.png", "gone")]


def test_one_in_a_hundred_and_ten_at_least_may_be_unreadable():
    assert [allowed_unreadable(count) for count in (1, 999, 1000, 1100, 100_000)] == [10, 10, 10, 11, 1000]
    source = skipping(30, set(range(10)))
    assert int(source.read(0)[0, 0, 0]) == 10
    source = skipping(30, set(range(11)))
    with pytest.raises(RunFailure, match="photos: 11 of the run's 30 .* 0.png .gone.; more than 10 .*: put them back"):
        source.read(0)


def test_a_source_of_which_nothing_can_be_read_is_an_error_each_time():
    source = skipping(3, {0, 1, 2})
    for _ in range(2):
        with pytest.raises(RunFailure, match="3 of the run's 3 pictures there cannot be read"):
            source.read(1)


def test_batches_are_made_of_what_can_be_read_and_the_failure_itself_gets_out():
    batches = training_batches(skipping(8, {2}), seed=0, global_batch=8, flip=0.0, degrade=False)
    batch = next(batches.as_numpy_iterator())
    shown = np.sort(np.round((batch["clean"][:, 0, 0, 0] + 1) * 127.5).astype(int))
    np.testing.assert_array_equal(shown, [0, 1, 3, 3, 4, 5, 6, 7])
    failing = training_batches(skipping(20, set(range(15))), seed=0, global_batch=4, degrade=False)
    with pytest.raises(tf.errors.OpError):
        list(itertools.islice(failing.as_numpy_iterator(), 20))
    assert isinstance(failure_of_reads(), RunFailure)


def test_validation_goes_on_without_what_cannot_be_read():
    whole, part = fixed_batch(Failing(6, ()), 6), fixed_batch(Failing(6, {1, 4}), 6)
    for key in ("clean", "degraded"):  # the others stay as they were, their degradation included
        np.testing.assert_array_equal(part[key], whole[key][[0, 2, 3, 5]])
    with pytest.raises(ValueError, match="none of the pictures to validate with"):
        fixed_batch(Failing(2, {0, 1}), 2)
