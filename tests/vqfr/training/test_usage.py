"""The meter counts every replica's choices, and forgets codes after a hundred steps."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.vqfr.training.usage import UsageMeter


def counted(meter: UsageMeter, indices: list, step: int) -> dict:
    result = meter.count(tf.constant([[indices]], tf.int32), tf.constant(step, tf.int64))
    return {name.split("/")[1]: float(value) for name, value in result.items()}


def test_usage_is_the_share_of_codes_chosen_in_the_last_hundred_steps():
    meter = UsageMeter(4)
    assert counted(meter, [0, 0], 0)["usage"] == 0.25
    assert counted(meter, [2], 1)["usage"] == 0.5
    assert counted(meter, [2], 99)["usage"] == 0.5
    assert counted(meter, [2], 100)["usage"] == 0.25


def test_perplexity_is_one_for_one_code_and_all_of_them_for_equal_shares():
    assert counted(UsageMeter(8), [3, 3, 3], 0)["perplexity"] == pytest.approx(1.0)
    assert counted(UsageMeter(8), list(range(8)), 0)["perplexity"] == pytest.approx(8.0, rel=1e-6)
    assert counted(UsageMeter(8), [1, 1, 5, 5], 0)["perplexity"] == pytest.approx(2.0, rel=1e-6)


def test_two_replicas_count_together(mirrored):
    with mirrored.scope():
        meter = UsageMeter(4)
    indices = mirrored.experimental_distribute_values_from_function(
        lambda context: tf.fill([1, 1, 3], context.replica_id_in_sync_group * 2)
    )
    result = mirrored.run(tf.function(meter.count), args=(indices, tf.constant(0, tf.int64)))
    for name, wanted in (("codebook/usage", 0.5), ("codebook/perplexity", 2.0)):
        for value in mirrored.experimental_local_results(result[name]):
            assert float(value) == pytest.approx(wanted, rel=1e-6)
    for copy in mirrored.experimental_local_results(meter.last_used):
        np.testing.assert_array_equal(copy, [0, -100, 0, -100])
