"""Both stages on one replica and on two, and interrupted anywhere, come to the same weights."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.training.checkpoints import Checkpoints
from tests.vqfr.training import GLOBAL_BATCH, batch, codebook_stage, restoration_stage, saved_variables, take, with_sgd

STAGES = {"codebook": codebook_stage, "restoration": restoration_stage}


def run(strategy: tf.distribute.Strategy, experiment, steps: int = 5) -> tuple:
    """Losses and trainer after some steps; batch k of every strategy is the same global batch."""
    with strategy.scope():
        trainer = with_sgd(experiment)
    share = GLOBAL_BATCH // strategy.num_replicas_in_sync
    logs = []
    for step in range(steps):
        if trainer.enter_phase(step) or step == 0:
            taken = tf.function(lambda images: strategy.run(trainer.train_step, args=(images,)))

        images = batch(step)

        def part(context, images=images):
            first = share * context.replica_id_in_sync_group
            return {name: values[first : first + share] for name, values in images.items()}

        with strategy.scope():
            trainer.reset_metrics()
            taken(strategy.experimental_distribute_values_from_function(part))
            trainer.task.after_step(step + 1)
        names = trainer.scalar_names(step)
        logs.append({name: float(trainer.trackers[name].result()) for name in names})
    return trainer, logs


@pytest.mark.parametrize(("stage", "version"), [("codebook", 1), ("restoration", 1), ("restoration", 2)])
def test_one_and_two_replicas_give_the_same_losses_weights_and_codebooks(mirrored, stage, version):
    one, one_logs = run(tf.distribute.get_strategy(), STAGES[stage](version))
    two, two_logs = run(mirrored, STAGES[stage](version))
    for step, logs in enumerate(one_logs):
        for name, value in logs.items():
            # float32 sums in another order.
            assert two_logs[step][name] == pytest.approx(value, rel=1e-4, abs=1e-5), f"{name} at step {step}"
    for a, b in zip(saved_variables(one), saved_variables(two)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5, rtol=1e-4, err_msg=a.name)
    for variable in two.task.generator.variables:
        first, second = mirrored.experimental_local_results(variable)
        np.testing.assert_array_equal(first.numpy(), second.numpy(), err_msg=variable.name)


@pytest.mark.parametrize(
    ("stage", "version", "interrupted"),
    [
        ("codebook", 1, 1),  # at a boundary; the reservoir is half full
        ("codebook", 1, 3),  # between two re-estimations
        ("codebook", 1, 5),
        ("restoration", 1, 1),
        ("restoration", 1, 2),  # at a boundary
        ("restoration", 2, 3),
    ],
)
def test_a_run_interrupted_and_continued_equals_an_uninterrupted_one(tmp_path, stage, version, interrupted):
    from rethink_fr.workflows.build import build_trainer

    experiment = STAGES[stage](version)
    whole = build_trainer(experiment)
    logs = take(whole, 6)
    first = build_trainer(experiment)
    assert take(first, interrupted) == logs[:interrupted]
    Checkpoints(tmp_path / "checkpoints", first, keep=1).save()
    second = build_trainer(experiment)
    for variable in second.task.generator.trainable_variables:
        variable.assign_add(tf.ones_like(variable))  # nothing of a new run may be left
    assert Checkpoints(tmp_path / "checkpoints", second, keep=1).restore() == interrupted
    assert take(second, 6 - interrupted) == logs[interrupted:]
    found, wanted = saved_variables(second), saved_variables(whole)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.name)
