"""One training step, for any task: its turns, its random numbers, and the average of the generator's weights."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.system import StepContext, TrainingTask, Turn
from rethink_fr.training.loss_scale import SKIPPED, LossScale, apply_if

STOPPING = "stopping"  # the scalar that is above 0 after a step before which a worker wanted to stop
_PURPOSES = 4  # random seeds of one step that differ in their second number only


class AdversarialTrainer(keras.Model):
    """Takes the training steps of a `TrainingTask`; used with `compile` and `fit` like any Keras model.

    A step first updates the task's state (codebooks), then takes the task's turns one after the other (generator,
    discriminators), then moves the average of the generator's weights. Images are `{"degraded", "clean"}`, float32
    `[b, R, R, 3]` in [-1, 1]; with several replicas each gets an equal share of the global batch.

    Example:
        with strategy.scope():
            task = RestorerTask(restorer, discriminator, objective, Adam(2.5e-3), Adam(2.5e-3))
            trainer = AdversarialTrainer(task, build_averaged(make_restorer))
            trainer.compile()
        trainer.fit(batches, steps_per_epoch=1000, callbacks=[FollowTask()])

    Args:
        task: networks, losses and optimizers.
        average: a network with the same variables as the task's generator; made by `build_averaged`.
        average_decay: decay of the average, 0 to below 1. With 0 the average is a copy of the generator.
        seed: seed of all random numbers in a step, below 2^31.
        together: steps that `fit` takes in one call of TensorFlow. Callbacks then come after so many steps, and each of
            their logs is a vector with a value for every step.
        loss_scale: for gradients in float16; None for none.

    Attributes:
        step: number of steps taken, an int64 variable.
        phase: the first step of the current phase. A task whose computation changes at certain steps has several.
        wants_to_stop: returns a float32 scalar of this worker, above 0 once it wants to stop. Scalars of a step then
            have `STOPPING`, so that all workers know it after the same step. None: no other worker has to know.
    """

    train_function: Any  # Keras' own attribute, which it does not declare

    def __init__(
        self,
        task: TrainingTask,
        average: keras.Model,
        average_decay: float = 0.999,
        seed: int = 0,
        together: int = 1,
        loss_scale: Optional[LossScale] = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.average = average
        self.average_decay = average_decay
        self.seed = seed
        self.together = together
        self.loss_scale = loss_scale
        self.wants_to_stop: Optional[Callable[[], tf.Tensor]] = None
        self.step = tf.Variable(
            0, trainable=False, dtype=tf.int64, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.phase = 0
        # All replicas return the same scalars; Keras would add them up.
        self.distribute_reduction_method = "first"

    def compile(self, **kwargs) -> None:
        """Create the variables of the optimizers, for all phases. Call it inside the strategy's scope.

        Raises:
            ValueError: if an optimizer serves two turns of the same step.
        """
        super().compile(steps_per_execution=self.together, **kwargs)
        variables: Dict[str, Dict[int, tf.Variable]] = {name: {} for name in self.task.optimizers}
        for phase in self.phases():
            served: List[str] = []
            for turn in self.task.turns(phase):
                for name, group in turn.variables.items():
                    if name in served:
                        raise ValueError(f"turn {turn.name}: the optimizer {name} serves another turn of the same step")
                    served.append(name)
                    variables[name].update({id(variable): variable for variable in group})
        for name, optimizer in self.task.optimizers.items():
            optimizer.build(list(variables[name].values()))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """None: a step returns its own scalars, and `RunLog` averages them over steps."""
        return []

    def enter_phase(self, step: int) -> bool:
        """Go to the phase that `step` belongs to; True if it is another one. `train_step` must then be traced again."""
        phase = max(first for first in self.phases() if first <= step)
        changed, self.phase = phase != self.phase, phase
        return changed

    def take_over(self, replaced: Sequence[tf.Variable]) -> None:
        """Give the average those variables of the generator that were replaced between two steps, as they now are."""
        found = {id(variable) for variable in replaced}
        for shadow, variable in zip(self.average.variables, self.task.generator.variables):
            if id(variable) in found:
                shadow.assign(tf.convert_to_tensor(variable))

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Take one step on this replica's share of the batch.

        Returns:
            What is logged of this step, as means over the global batch: all that the task computed, the loss of each
            turn, the gradient norm of each optimizer and the learning rate of the first one. With a loss scale also
            its factor, and how many turns were skipped.
        """
        context = ReplicaStepContext(self.seed, self.step, self.loss_scale)
        state = self.task.update_state(batch, context, self.phase)
        scalars: Dict[str, tf.Tensor] = {}
        totals: Dict[str, tf.Tensor] = {}
        made: Dict[str, tf.Tensor] = {}
        finite: List[tf.Tensor] = []
        for turn in self.task.turns(self.phase):
            totals.update(self._take(turn, batch, context, made, scalars, finite))
        if self.loss_scale is not None:
            totals.update(self._adapt_loss_scale(finite))
        rate = next(iter(self.task.optimizers.values())).learning_rate
        update_average(self.average, self.task.generator, self.step, self.average_decay, self.task.averaged)
        self.step.assign_add(1)
        stopping = {} if self.wants_to_stop is None else {STOPPING: self.wants_to_stop()}
        return _over_replicas({**scalars, **state, **totals, "learning_rate": rate, **stopping})

    def make_train_function(self, force: bool = False) -> Callable[..., Dict[str, tf.Tensor]]:
        """What `fit` calls with an iterator. Keras' own would return the scalars of the last step only."""
        if self.together == 1 or (self.train_function is not None and not force):
            return super().make_train_function(force)

        def several(iterator: tf.data.Iterator) -> Dict[str, tf.Tensor]:
            names: List[str] = []

            def step(number: tf.Tensor, rows: tf.TensorArray) -> Tuple[tf.Tensor, tf.TensorArray]:
                scalars = self.distribute_strategy.run(self.train_step, args=(next(iterator),))
                names[:] = scalars
                first = [self.distribute_strategy.experimental_local_results(scalars[name])[0] for name in names]
                return number + 1, rows.write(number, tf.stack(first))

            rows = tf.TensorArray(tf.float32, self.together, infer_shape=False)
            _, rows = tf.while_loop(
                lambda number, _: number < self.together, step, [tf.constant(0), rows], parallel_iterations=1
            )
            return dict(zip(names, tf.unstack(tf.ensure_shape(rows.stack(), [self.together, len(names)]), axis=1)))

        self.train_function = tf.function(several, autograph=False, reduce_retracing=True)
        return self.train_function

    def _take(
        self,
        turn: Turn,
        batch: Mapping[str, tf.Tensor],
        context: StepContext,
        made: Dict[str, tf.Tensor],
        scalars: Dict[str, tf.Tensor],
        finite: List[tf.Tensor],
    ) -> Dict[str, tf.Tensor]:
        """Follow the gradient of the mean loss of the global batch once, with the optimizers of a turn.

        Adds to `made` and `scalars` what the loss made and computed, and to `finite` whether the gradients were, if
        there is a loss scale; returns the loss and the gradient norms.
        """
        variables = [variable for group in turn.variables.values() for variable in group]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = turn.loss(batch, context, made)
            value = loss.value if self.loss_scale is None else context.loss_scale * loss.value
        gradients = tape.gradient(value, variables)
        unreached = [variable.name for variable, gradient in zip(variables, gradients) if gradient is None]
        if unreached:
            raise ValueError(f"turn {turn.name}: its loss does not depend on {', '.join(unreached)}")
        made.update({name: tf.stop_gradient(tensor) for name, tensor in loss.made.items()})
        scalars.update(loss.scalars)
        totals = {} if f"loss/{turn.name}" in loss.scalars else {f"loss/{turn.name}": loss.value}
        # Replicas have equal shares, so the mean over the global batch is the mean of the replicas' means.
        replica = tf.distribute.get_replica_context()
        gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        if self.loss_scale is not None:
            gradients = [tf.convert_to_tensor(gradient) / context.loss_scale for gradient in gradients]
            finite.append(tf.math.is_finite(tf.linalg.global_norm(gradients)))
        for name, group in turn.variables.items():
            part, gradients = gradients[: len(group)], gradients[len(group) :]
            optimizer = self.task.optimizers[name]
            if self.loss_scale is None:
                optimizer.apply_gradients(zip(part, group), skip_gradients_aggregation=True)
            else:
                apply_if(self.loss_scale.follows(finite[-1]), optimizer, part, group)
            totals[f"gradient_norm/{name}"] = tf.linalg.global_norm(part)
        return totals

    def _adapt_loss_scale(self, finite: List[tf.Tensor]) -> Dict[str, tf.Tensor]:
        """Adapt the loss scale to whether the gradients of each turn were finite; returns what is logged of it."""
        scale = self.loss_scale
        assert scale is not None
        skipped = [tf.cast(~scale.follows(one), tf.float32) for one in finite]
        logged = {"loss_scale/factor": tf.identity(scale.factor), SKIPPED: tf.add_n(skipped)}
        scale.update(tf.reduce_all(finite))
        return logged

    def phases(self) -> List[int]:
        """The first steps of all phases, in their order."""
        return sorted({0, *self.task.boundaries})


class ReplicaStepContext:
    """The `StepContext` of one replica. Create it in replica context.

    Random numbers are drawn for the whole global batch, and every replica takes its rows of them. They follow from the
    seed and the step alone, so that any number of replicas, and a run that was interrupted, gets the same ones.

    Args:
        seed: of the run, below 2^31.
        step: int64 scalar, number of steps taken before this one.
        loss_scale: of the trainer; None for none.
    """

    def __init__(self, seed: int, step: tf.Tensor, loss_scale: Optional[LossScale] = None) -> None:
        self.step = tf.convert_to_tensor(step)
        self.loss_scale = tf.constant(1.0) if loss_scale is None else tf.convert_to_tensor(loss_scale.factor)
        self._seed = seed

    def random_seed(self, purpose: int) -> tf.Tensor:
        """See `StepContext`."""
        high, low = divmod(purpose, _PURPOSES)
        return tf.stack([tf.constant(self._seed + (high << 32), tf.int64), self.step * _PURPOSES + low])

    @staticmethod
    def of_this_replica(draws: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """See `StepContext`."""
        first = share * tf.distribute.get_replica_context().replica_id_in_sync_group
        return draws[first : first + share]

    @staticmethod
    def global_batch(share: tf.Tensor) -> tf.Tensor:
        """See `StepContext`."""
        return share * tf.distribute.get_replica_context().num_replicas_in_sync


def build_averaged(build: Callable[[], keras.Model]) -> keras.Model:
    """Build the network that holds the average of another network's weights.

    Its variables can be assigned in replica context, where all replicas assign the same value (their weights are equal
    after the optimizers' step); hence ONLY_FIRST_REPLICA.

    Args:
        build: makes the network and creates its variables.
    """

    def first_replica_speaks(next_creator: Callable[..., tf.Variable], **kwargs) -> tf.Variable:
        kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
        return next_creator(**kwargs)

    with tf.variable_creator_scope(first_replica_speaks):
        return build()


def update_average(
    average: keras.Model,
    model: keras.Model,
    step: tf.Tensor,
    decay: float,
    averaged: Callable[[keras.Model], Sequence[tf.Variable]],
) -> None:
    """Take one step of the exponential moving average of a network's weights; copy its other variables.

    This is not in the paper but standard practice (Karras et al. 2018, appendix A.1). The decay is at most
    `(1 + step) / (10 + step)`, so that the initial weights are soon forgotten.

    Args:
        average, model: two networks of one kind.
        step: number of steps taken before this one.
        decay: 0 to below 1.
        averaged: from a network to its variables that are averaged; see `TrainingTask.averaged`.
    """
    count = tf.cast(step, tf.float32)
    decay = tf.minimum(decay, (1.0 + count) / (10.0 + count))
    for shadow, variable in zip(averaged(average), averaged(model)):
        shadow.assign(variable + tf.cast(decay, shadow.dtype) * (shadow - variable))
    done = {id(shadow) for shadow in averaged(average)}
    for shadow, variable in zip(average.variables, model.variables):
        if id(shadow) not in done:
            shadow.assign(variable)


def _over_replicas(scalars: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
    """The mean of each scalar over all replicas, in float32."""
    values = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
    means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
    return dict(zip(scalars, tf.unstack(means)))
