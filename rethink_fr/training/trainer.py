"""The training step: drives a task's turns on one replica's share of the batch."""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.system import StepContext, TrainingTask, Turn
from rethink_fr.training.average import update_average
from rethink_fr.training.step_context import ReplicaStepContext


class AdversarialTrainer(keras.Model):
    """Trains what a task describes; drive it with `compile` and `fit`, inside the strategy's scope.

    Batches are `{"degraded": [b, R, R, 3], "clean": [b, R, R, 3]}`, float32 in [-1, 1], each replica getting an equal
    share of the global batch. A step updates the task's state, then takes its turns one after the other, then moves
    the generator's average. Random numbers: see `ReplicaStepContext`.

    Args:
        task: networks, losses and optimizers.
        average: a network like the task's generator, from `build_averaged`.
        average_decay: of the generator's average; 0 makes it a copy.
        seed: of everything random in a step.
    """

    def __init__(self, task: TrainingTask, average: keras.Model, average_decay: float = 0.999, seed: int = 0) -> None:
        super().__init__()
        self.task = task
        self.average = average
        self.average_decay = average_decay
        self.seed = seed
        self.step = tf.Variable(
            0, trainable=False, dtype=tf.int64, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        # The first step of the part of the run whose computation `train_step` traces; a Python number.
        self.phase = 0
        # Mean metrics give the same result on every replica; by default Keras would add them up over workers.
        self.distribute_reduction_method = "first"
        self.trackers = {
            name: keras.metrics.Mean(name=name) for phase in self._phases() for name in self.scalar_names(phase)
        }

    def compile(self, **kwargs) -> None:
        """Build the variables of the task's optimizers, for all phases (call it inside the strategy's scope)."""
        super().compile(**kwargs)
        variables: Dict[str, Dict[int, tf.Variable]] = {name: {} for name in self.task.optimizers}
        for phase in self._phases():
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
        return list(self.trackers.values())

    def enter_phase(self, step: int) -> bool:
        """Make `train_step` compute what belongs to `step`; returns whether that differs from before.

        If so, a function that has been traced already must be traced anew.
        """
        phase = max(first for first in self._phases() if first <= step)
        changed, self.phase = phase != self.phase, phase
        return changed

    def scalar_names(self, step: int) -> Tuple[str, ...]:
        """Names of all that is logged at a step."""
        names = list(self.task.scalar_names(step))
        for turn in self.task.turns(step):
            names += [f"loss/{turn.name}", *(f"gradient_norm/{optimizer}" for optimizer in turn.variables)]
        return tuple(dict.fromkeys([*names, "learning_rate"]))

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The task's state, its turns in order, the average."""
        context = ReplicaStepContext(self.seed, self.step)
        scalars = dict(self.task.update_state(batch, context, self.phase))
        made: Dict[str, tf.Tensor] = {}
        for turn in self.task.turns(self.phase):
            scalars.update(self._take(turn, batch, context, made))
        scalars["learning_rate"] = next(iter(self.task.optimizers.values())).learning_rate
        names = self.scalar_names(self.phase)
        if set(scalars) != set(names):
            raise ValueError(
                f"the scalars announced and those computed differ: {', '.join(sorted(set(scalars) ^ set(names)))}"
            )
        update_average(self.average, self.task.generator, self.step, self.average_decay)
        self.step.assign_add(1)
        for name, value in scalars.items():
            self.trackers[name].update_state(value)
        # Results of Mean metrics: raw tensors would be summed over replicas in the logs.
        return {name: self.trackers[name].result() for name in names}

    def _take(
        self, turn: Turn, batch: Mapping[str, tf.Tensor], context: StepContext, made: Dict[str, tf.Tensor]
    ) -> Dict[str, tf.Tensor]:
        """One step of the turn's optimizers with the gradient of the global batch's mean loss; returns its scalars."""
        variables = [variable for group in turn.variables.values() for variable in group]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = turn.loss(batch, context, made)
        gradients = tape.gradient(loss.value, variables)
        unreached = [variable.name for variable, gradient in zip(variables, gradients) if gradient is None]
        if unreached:
            raise ValueError(f"turn {turn.name}: its loss does not depend on {', '.join(unreached)}")
        made.update({name: tf.stop_gradient(tensor) for name, tensor in loss.made.items()})
        # Replicas hold equal shares: the mean over the global batch is the mean of their means.
        replica = tf.distribute.get_replica_context()
        gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        norms = {}
        for name, group in turn.variables.items():
            part, gradients = gradients[: len(group)], gradients[len(group) :]
            self.task.optimizers[name].apply_gradients(zip(part, group), skip_gradients_aggregation=True)
            norms[f"gradient_norm/{name}"] = tf.linalg.global_norm(part)
        return {f"loss/{turn.name}": loss.value, **loss.scalars, **norms}

    def _phases(self) -> List[int]:
        """First step of each part of a run between two boundaries."""
        return sorted({0, *self.task.boundaries})
