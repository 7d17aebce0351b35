"""A second system for the tests of what all systems share: images times a scale plus a shift.

Importing this module loads no TensorFlow, as for every module with a `SYSTEM`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal

from rethink_fr.config.checks import Checks, check_shared
from rethink_fr.config.sections import DataConfig, DegradationConfig, TrainingConfig
from rethink_fr.system import Inference, System, Turn, TurnLoss


@dataclass(frozen=True)
class ToyModel:
    """Its network's settings."""

    resolution: int = 32
    channels: int = 3


@dataclass(frozen=True)
class ToyObjective:
    """Settings of the task."""

    boundary: int = 3  # from this step on another loss, and a critic
    overflow: Literal["none", "fit", "critic"] = "none"  # the turn whose loss becomes infinite
    rate_limit: float = 0.0  # with a learning rate below it nothing overflows


@dataclass(frozen=True)
class ToyOptimizer:
    """Settings of all optimizers."""

    learning_rate: float = 0.1


@dataclass(frozen=True)
class ToyExperiment:
    """A whole configuration."""

    architecture: Literal["toy"] = "toy"
    model: ToyModel = field(default_factory=ToyModel)
    data: DataConfig = field(default_factory=DataConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    objective: ToyObjective = field(default_factory=ToyObjective)
    optimizer: ToyOptimizer = field(default_factory=ToyOptimizer)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def experiment(boundary: int = 3, overflow: str = "none", **training: Any) -> ToyExperiment:
    """A configuration that takes a second."""
    rhythm = {"steps": 6, "global_batch": 4, "log_every": 1, "sample_every": 100, "validate_every": 100, **training}
    return ToyExperiment(
        data=DataConfig(builtin_identities=6, builtin_pictures=2, validation_images=4),
        objective=ToyObjective(boundary, overflow=overflow),
        training=TrainingConfig(**rhythm),
    )


def check(config: ToyExperiment) -> None:
    """Refuse a boundary at 0."""
    check_shared(config)
    Checks(config).within("objective.boundary", 1)


@functools.lru_cache
def network_class() -> type:
    """The network's class, made once: it needs TensorFlow."""
    import tensorflow as tf
    from tensorflow import keras

    class ToyNetwork(keras.Model):
        """images * scale + shift."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.scale = self.add_weight("scale", [channels], initializer="random_normal")
            self.shift = self.add_weight("shift", [channels], initializer="zeros")
            self.seen = self.add_weight(
                "seen", [], initializer="zeros", trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )  # fmt: skip

        def call(self, images: Any) -> Any:
            return images * self.scale + self.shift

    return ToyNetwork


def build(model: ToyModel) -> Any:
    """The network: scale and shift of each channel."""
    return network_class()(model.channels)


def inference(network: Any, precision: str = "float32") -> Inference:
    """The network, which takes nothing but images."""
    return Inference(network, lambda images: {"restored": network(images)}, 32, None, None)


class ToyTask:
    """Two optimizers in the first turn; from the boundary on another loss in it, and a second turn."""

    reconstructs = False

    def __init__(self, config: ToyExperiment) -> None:
        import tensorflow as tf
        from tensorflow import keras

        rate = config.optimizer.learning_rate
        self.generator = build(config.model)
        self.critic = tf.Variable(0.0, name="critic")
        self.outside = tf.Variable(0.0, trainable=False, name="outside")  # moved by `after_step`
        self.perceptual = None
        self.saved = {"generator": self.generator, "critic": self.critic, "outside": self.outside}
        self.optimizers = {
            "scale": keras.optimizers.Adam(rate),
            "shift": keras.optimizers.SGD(rate),
            "critic": keras.optimizers.SGD(rate, momentum=0.5),
        }
        self.boundaries = (config.objective.boundary,)
        self.overflow = config.objective.overflow if rate >= config.objective.rate_limit else "none"
        self.traced: List[int] = []
        self.followed: List[int] = []

    def update_state(self, batch: Any, context: Any, step: int) -> Dict[str, Any]:
        """Sums the means of the global batches."""
        import tensorflow as tf

        self.traced.append(step)
        replica = tf.distribute.get_replica_context()
        mean = replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(batch["clean"]))
        self.generator.seen.assign_add(mean)
        return {"seen": self.generator.seen.read_value()}

    def turns(self, step: int) -> List[Turn]:
        """One turn before the boundary, two after."""
        late = step >= self.boundaries[0]

        def fit(batch: Any, context: Any, made: Any) -> TurnLoss:
            import tensorflow as tf

            share = tf.shape(batch["clean"])[0]
            draws = tf.random.stateless_normal([context.global_batch(share), 1, 1, 3], context.random_seed(5))
            noise = 0.1 * context.of_this_replica(draws, share)
            restored = self.generator(batch["degraded"] + noise)
            difference = batch["clean"] - restored
            loss = tf.reduce_mean(tf.abs(difference) if late else tf.square(difference))
            scalars = {"loss/l1" if late else "loss/l2": loss}
            factor = float("inf") if self.overflow == "fit" and late else 2.0
            return TurnLoss(factor * loss + self.outside, scalars, {"restored": restored})

        def criticise(batch: Any, context: Any, made: Any) -> TurnLoss:
            import tensorflow as tf

            factor = float("inf") if self.overflow == "critic" else 1.0
            return TurnLoss(factor * tf.reduce_mean(tf.square(self.critic - made["restored"])), {})

        turns = [Turn("fit", {"scale": [self.generator.scale], "shift": [self.generator.shift]}, fit)]
        return [*turns, Turn("critic", {"critic": [self.critic]}, criticise)] if late else turns

    def averaged(self, network) -> list:
        """The trained weights."""
        return list(network.trainable_variables)

    def after_step(self, step: int) -> None:
        """Depends on everything before it, and what comes depends on it."""
        self.followed.append(step)
        self.outside.assign(0.5 * self.outside + float(self.generator.shift.numpy()[0]))
        if step == 2:
            self.generator.shift.assign_add([0.25, 0.0, 0.0])


def costs(model: ToyModel) -> list:
    """Nothing to tell."""
    return []


SYSTEM = System(ToyModel, build, inference, costs, experiment=ToyExperiment, check=check, task=ToyTask)
