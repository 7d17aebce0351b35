"""What the tests of training share: tiny experiments, their trainers, batches of noise."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.sections import DataConfig, TrainingConfig
from rethink_fr.training.run import build_trainer
from rethink_fr.training.trainer import AdversarialTrainer
from rethink_fr.vqfr.settings import (
    BranchConfig,
    CodebookConfig,
    DiscriminatorConfig,
    VQFRExperiment,
    VQFRObjectiveConfig,
    VQFRSettings,
)

GLOBAL_BATCH = 8  # two replicas get one group of minibatch statistics each
SIDE = 32
JUDGED = BranchConfig(l1=1.0, global_adversarial=0.5, local_adversarial=0.5, adversarial_from=2)


def codebook_stage(version: int = 1, **changes: Any) -> VQFRExperiment:
    """Stage 1 with every part on: quantizes from step 1, samples until 5, k-means after 2 and 4, judges from 2."""
    experiment = VQFRExperiment(
        stage="codebook",
        model=VQFRSettings("vqgan", version, SIDE, 1 / 32, 2, 16),
        codebook=CodebookConfig(quantize_from=1, reestimate_until=5, reestimate_every=2, reservoir=96),
        discriminator=DiscriminatorConfig("wavelet" if version == 1 else "style", 1, 1 / 32),
        data=DataConfig(builtin_identities=6, builtin_pictures=2, validation_images=4),
        objective=VQFRObjectiveConfig(
            vgg16="none", texture=dataclasses.replace(JUDGED, local_adversarial=0.0), r1_interval=2
        ),
        training=TrainingConfig(steps=6, global_batch=GLOBAL_BATCH, average_decay=0.0),
    )
    return dataclasses.replace(experiment, **changes)


def restoration_stage(version: int = 1, **changes: Any) -> VQFRExperiment:
    """Stage 2: the texture image is judged from the start, the main one from step 2."""
    experiment = codebook_stage(version)
    objective = dataclasses.replace(
        experiment.objective, texture=dataclasses.replace(JUDGED, adversarial_from=0), main=JUDGED
    )
    model = dataclasses.replace(experiment.model, network="vqfr")
    return dataclasses.replace(
        experiment, **{"stage": "restoration", "model": model, "objective": objective, **changes}
    )


def with_sgd(experiment: VQFRExperiment, learning_rate: float = 0.01) -> AdversarialTrainer:
    """A trainer with plain SGD, which shows a wrong factor that Adam would hide."""
    trainer = build_trainer(experiment)
    trainer.task.optimizers = {name: keras.optimizers.SGD(learning_rate) for name in trainer.task.optimizers}
    trainer.compile()
    enliven(trainer)
    return trainer


def enliven(trainer: AdversarialTrainer) -> None:
    """Codes as large as features: fresh ones are so alike that nothing would depend on which is chosen."""
    codes = np.random.default_rng(5).normal(scale=0.1, size=trainer.task.generator.codebook.shape)
    trainer.task.generator.codebook.assign(codes.astype(np.float32))
    if hasattr(trainer.task, "teacher"):
        trainer.task.teacher.quantizer.set_weights(
            [0.1 * np.random.default_rng(6).normal(size=w.shape) for w in trainer.task.teacher.quantizer.get_weights()]
        )


def batch(step: int, size: int = GLOBAL_BATCH) -> Dict[str, tf.Tensor]:
    """A batch of noise images in [-1, 1], another one for each step."""
    images = np.random.default_rng(step).uniform(-1, 1, [2, size, SIDE, SIDE, 3]).astype(np.float32)
    return {"degraded": tf.constant(images[0]), "clean": tf.constant(images[1])}


def take(trainer: AdversarialTrainer, steps: int) -> List[Dict[str, float]]:
    """Steps on one replica, eagerly, as `fit` and its callbacks would; returns the scalars of each."""
    logs = []
    for _ in range(steps):
        step = int(trainer.step.numpy())
        trainer.enter_phase(step)
        logs.append({name: float(value) for name, value in trainer.train_step(batch(step)).items()})
        trainer.task.after_step(step + 1)
    return logs


def values(variables: List[tf.Variable]) -> Dict[str, np.ndarray]:
    """Copies of the values of variables, by name and place."""
    return {f"{number} {variable.name}": variable.numpy().copy() for number, variable in enumerate(variables)}


def saved_variables(trainer: AdversarialTrainer) -> List[tf.Variable]:
    """Everything that checkpoints hold, optimizers included."""
    found: List[tf.Variable] = []
    for part in [*trainer.task.saved.values(), trainer.average]:
        found += part.variables
    for optimizer in trainer.task.optimizers.values():
        found += optimizer.variables
    return found
