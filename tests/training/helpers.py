"""What the training tests share: small configurations and their trainers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.sections import DataConfig, TrainingConfig
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, ObjectiveConfig
from rethink_fr.training.run import build_trainer
from rethink_fr.training.trainer import AdversarialTrainer

GLOBAL_BATCH = 8  # two replicas get one group of minibatch statistics each


def small_config(**training: Any) -> ExperimentConfig:
    """32 px, a few thousand weights, every part of the system switched on (but VGG-19)."""
    return ExperimentConfig(
        model=ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16, codebook_reseed_after=3),
        data=DataConfig(builtin_identities=6, builtin_pictures=2, validation_images=4),
        objective=ObjectiveConfig(perceptual="none", adversarial=0.5, r1_gamma=1.0, r1_interval=2),
        training=TrainingConfig(**{"steps": 6, "global_batch": GLOBAL_BATCH, "average_decay": 0.9, **training}),
    )


def with_sgd(config: ExperimentConfig, learning_rate: float = 0.01) -> AdversarialTrainer:
    """A trainer with plain SGD, which shows a wrong factor that Adam would hide."""
    trainer = build_trainer(config)
    trainer.task.optimizers = {name: keras.optimizers.SGD(learning_rate) for name in trainer.task.optimizers}
    trainer.compile()
    return trainer


def random_batch(seed: int = 0, batch: int = GLOBAL_BATCH, side: int = 32) -> dict[str, tf.Tensor]:
    """A batch of noise images in [-1, 1]."""
    generator = np.random.default_rng(seed)
    images = generator.uniform(-1, 1, [2, batch, side, side, 3]).astype(np.float32)
    return {"degraded": tf.constant(images[0]), "clean": tf.constant(images[1])}


def on_replicas(strategy: tf.distribute.Strategy, batch: dict[str, tf.Tensor]) -> Any:
    """A global batch over the replicas of a strategy, each with an equal share."""
    share = len(batch["clean"]) // strategy.num_replicas_in_sync

    def part(context: tf.distribute.experimental.ValueContext) -> dict[str, tf.Tensor]:
        first = share * context.replica_id_in_sync_group
        return {name: images[first : first + share] for name, images in batch.items()}

    return strategy.experimental_distribute_values_from_function(part)


def values(variables: list[tf.Variable]) -> list[np.ndarray]:
    """Copies of the values of variables."""
    return [variable.numpy().copy() for variable in variables]


def replace(config: ExperimentConfig, section: str, **changes: Any) -> ExperimentConfig:
    """The configuration with some keys of one section changed."""
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **changes)})


def records(run: Path) -> list[dict[str, float]]:
    """The rows of a run's `metrics.jsonl` that are about steps, without those of validation."""
    return [row for row in all_records(run) if "validation/psnr" not in row]


def all_records(run: Path) -> list[dict[str, float]]:
    """All rows of a run's `metrics.jsonl`."""
    import json

    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
