"""Every sample is a function of the seed and its number: exact resume, sharding, one image once a pass."""

import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr import images
from rethink_fr.data.augmentation import augment
from rethink_fr.data.degradation.tasks import degrade, super_resolution_input
from rethink_fr.data.pipeline import fixed_batch, training_batches
from rethink_fr.data.sources.opening import MemorySource
from tests.command_line import ROOT


def numbered_source(count=10, resolution=16):
    """Images whose first channel is their number; nothing but a flip leaves it as it is."""
    pictures = np.random.default_rng(0).integers(0, 256, (count, resolution, resolution, 3), dtype=np.uint8)
    pictures[..., 0] = np.arange(count)[:, None, None]
    return MemorySource(pictures)


def take(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def image_numbers(batches):
    """Which image of `numbered_source` each sample shows."""
    clean = np.concatenate([batch["clean"] for batch in batches])
    return images.to_uint8(clean[:, 0, 0, 0]).numpy().astype(int)


def assert_equal_batches(ours, expected):
    for batch, other in zip(ours, expected):
        for key in other:
            np.testing.assert_array_equal(batch[key], other[key])


def test_batches_are_float_pairs_in_range_with_static_shapes():
    dataset = training_batches(numbered_source(), seed=0, global_batch=4)
    assert dataset.element_spec == {
        "degraded": tf.TensorSpec([4, 16, 16, 3], tf.float32),
        "clean": tf.TensorSpec([4, 16, 16, 3], tf.float32),
        "index": tf.TensorSpec([4], tf.int64),
    }
    for batch in take(dataset, 3):
        for key in ("degraded", "clean"):
            assert batch[key].min() >= -1 and batch[key].max() <= 1
        assert np.ptp(batch["clean"]) > 1.5
        assert (batch["degraded"] != batch["clean"]).any()


def test_a_sample_is_what_augment_and_degrade_make_of_its_number():
    source = numbered_source()
    batches = take(training_batches(source, seed=5, global_batch=4, color_jitter=0.0), 2)
    plain = take(training_batches(source, seed=5, global_batch=4, flip=0.0), 2)
    for place, number in enumerate(image_numbers(plain)):
        clean = augment(source.read(number), 5, place)
        batch, position = divmod(place, 4)
        np.testing.assert_array_equal(images.to_uint8(batches[batch]["clean"][position]), clean)
        np.testing.assert_array_equal(images.to_uint8(batches[batch]["degraded"][position]), degrade(clean, 5, place))
        assert batches[batch]["index"][position] == place


def test_resuming_at_step_k_equals_skipping_k_steps():
    settings = {"seed": 3, "global_batch": 4, "color_jitter": 0.2}
    whole = take(training_batches(numbered_source(), **settings), 9)
    for step in (1, 4, 7):
        resumed = take(training_batches(numbered_source(), start_step=step, **settings), 2)
        assert_equal_batches(resumed, whole[step:])


def test_a_resume_reads_nothing_of_what_came_before():
    source = numbered_source()
    far = take(training_batches(source, seed=3, global_batch=4, start_step=10**9), 1)[0]
    assert list(far["index"]) == [4 * 10**9 + position for position in range(4)]


def test_every_image_comes_once_a_pass_and_passes_differ():
    batches = take(training_batches(numbered_source(10), seed=1, global_batch=5), 12)
    passes = image_numbers(batches).reshape(6, 10)
    for order in passes:
        assert sorted(order) == list(range(10))
    assert len({tuple(order) for order in passes}) == 6


def test_every_image_comes_once_a_pass_when_batches_straddle_passes():
    batches = take(training_batches(numbered_source(7), seed=1, global_batch=4), 7)
    for order in image_numbers(batches).reshape(4, 7):
        assert sorted(order) == list(range(7))


def test_the_seed_changes_order_and_degradation():
    one, other = (take(training_batches(numbered_source(), seed=seed, global_batch=10), 1)[0] for seed in (1, 2))
    assert (image_numbers([one]) != image_numbers([other])).any()


def test_the_number_of_workers_changes_nothing():
    settings = {"seed": 2, "global_batch": 4, "color_jitter": 0.3}
    one = take(training_batches(numbered_source(), workers=1, **settings), 4)
    assert_equal_batches(take(training_batches(numbered_source(), workers=4, **settings), 4), one)
    assert_equal_batches(take(training_batches(numbered_source(), workers=0, **settings), 4), one)


def test_two_workers_together_see_the_single_pipelines_batches():
    single = take(training_batches(numbered_source(), seed=4, global_batch=6, start_step=2), 3)
    parts = [
        take(
            training_batches(
                numbered_source(),
                seed=4,
                global_batch=6,
                start_step=2,
                input_context=tf.distribute.InputContext(2, worker, 2),
            ),
            3,
        )
        for worker in range(2)
    ]
    joined = [{key: np.concatenate([a[key], b[key]]) for key in a} for a, b in zip(*parts)]
    assert_equal_batches(joined, single)


def test_a_worker_with_two_replicas_gets_one_batch_for_each():
    single = take(training_batches(numbered_source(), seed=4, global_batch=8), 2)
    context = tf.distribute.InputContext(num_input_pipelines=2, input_pipeline_id=1, num_replicas_in_sync=4)
    parts = take(training_batches(numbered_source(), seed=4, global_batch=8, input_context=context), 4)
    expected = [{key: batch[key][first : first + 2] for key in batch} for batch in single for first in (4, 6)]
    assert_equal_batches(parts, expected)


def test_a_batch_that_cannot_be_shared_is_refused():
    context = tf.distribute.InputContext(num_input_pipelines=2, input_pipeline_id=0, num_replicas_in_sync=4)
    with pytest.raises(ValueError, match="multiple of 4"):
        training_batches(numbered_source(), seed=0, global_batch=6, input_context=context)


@pytest.mark.parametrize("arguments", [{"global_batch": 0}, {"start_step": -1}, {"workers": -1}])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="expected global_batch"):
        training_batches(numbered_source(), **{"seed": 0, "global_batch": 2, **arguments})


def test_an_empty_source_is_refused():
    empty = MemorySource(np.zeros((0, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="no images"):
        training_batches(empty, seed=0, global_batch=1)
    with pytest.raises(ValueError, match="holds images"):
        fixed_batch(empty, 4)


def test_a_source_of_one_image_is_enough():
    batch = take(training_batches(numbered_source(1), seed=0, global_batch=3), 1)[0]
    assert list(image_numbers([batch])) == [0, 0, 0]
    assert (batch["degraded"][0] != batch["degraded"][1]).any()


def test_a_super_resolution_task_reaches_the_batches():
    batch = take(training_batches(numbered_source(), seed=0, global_batch=2, task="x8"), 1)[0]
    clean = images.to_uint8(batch["clean"])
    np.testing.assert_array_equal(images.to_uint8(batch["degraded"]), super_resolution_input(clean, 8))


def test_the_fixed_batch_is_spread_over_the_source_and_always_the_same():
    source = numbered_source(10)
    batch = fixed_batch(source, 5)
    assert [int(image[0, 0, 0]) for image in batch["clean"]] == [0, 2, 4, 6, 8]
    assert batch["degraded"].dtype == batch["clean"].dtype == np.uint8
    np.testing.assert_array_equal(batch["degraded"], degrade(batch["clean"], 0, 0))
    np.testing.assert_array_equal(batch["degraded"], fixed_batch(source, 5)["degraded"])
    assert (fixed_batch(source, 5, seed=1)["degraded"] != batch["degraded"]).any()


def test_the_fixed_batch_is_as_long_as_the_source_at_most():
    assert len(fixed_batch(numbered_source(3), 8)["clean"]) == 3


def test_a_process_ends_although_an_iterator_is_alive_and_reading():
    # Without the gate in pipeline.py this hangs: a read is always under way when the interpreter shuts down.
    script = """
        import time
        import numpy as np
        from rethink_fr.data.sources.image_source import MemorySource
        from rethink_fr.data.pipeline import training_batches

        class SlowSource(MemorySource):
            def _load(self, slot):
                time.sleep(0.2)
                return super()._load(slot)

        source = SlowSource(np.zeros((4, 16, 16, 3), np.uint8))
        iterator = iter(training_batches(source, seed=0, global_batch=2))
        next(iterator)
        print("read")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (result.returncode, result.stdout) == (0, "read\n"), result.stderr[-2000:]


def test_what_a_source_raises_reaches_the_reader_with_its_message():
    class Failing(MemorySource):
        def _load(self, slot):
            raise ValueError("shard 3 is damaged")

    dataset = training_batches(Failing(np.zeros((4, 16, 16, 3), np.uint8)), seed=0, global_batch=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shard 3 is damaged"):
        take(dataset, 1)
