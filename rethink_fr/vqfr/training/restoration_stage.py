"""Stage 2: a network learns to restore degraded faces with the codebook of stage 1."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.parts import in_parts
from rethink_fr.losses.codes import code_cross_entropy, code_matching_loss
from rethink_fr.system import StepContext, Turn, TurnLoss
from rethink_fr.vqfr.networks.architecture import Architecture
from rethink_fr.vqfr.networks.autoencoder import Encoder
from rethink_fr.vqfr.networks.codes import CodeSelection
from rethink_fr.vqfr.networks.network import VQFR, nearest_codes
from rethink_fr.vqfr.training.image_branch import ImageBranch, target

Batch = Mapping[str, tf.Tensor]


class Teacher(keras.Model):
    """The encoder and the codebook of stage 1. They tell which codes clean images have, and are never trained.

    Call with images, float32 `[B, H, W, 3]` RGB in [-1, 1]. Returns their `CodeSelection`.
    """

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        self.resolution = architecture.resolution
        self.architecture = architecture
        self.encoder = Encoder(architecture, name="encoder")
        self.quantizer = nearest_codes(architecture)

    def call(self, images: tf.Tensor) -> CodeSelection:
        return self.quantizer(self.encoder(images))


class RestorationTask:
    """Trains a `VQFR` to restore degraded faces; a `TrainingTask`.

    "VQFR" (Gu et al., ECCV 2022), section 3.4. The codebook stays as stage 1 made it. Version 1 trains all the rest,
    with losses and discriminators for the texture image and, if there is one, for the main image. Version 2 also leaves
    the texture decoder as it is, learns to predict the codes, and has losses for the main image only.

    Deviates from the released code of version 2, which never resets the gradients of its global discriminator, so that
    they add up over all steps. Here every step follows its own gradient.

    Args:
        generator: the network, its variables created.
        teacher: of the same architecture, its variables created.
        branches: loss and discriminators of the texture and the main image (version 1), of the main one (version 2), or
            of the texture image where there is no other.
        code_matching: weight of the loss between the features and the codes of the clean image.
        code_prediction: weight of the cross entropy of the predicted codes; version 2 only.
        optimizers: "autoencoder" for encoder, quantizer and texture decoder, "main_branch" for all the rest of the
            network, and one for the discriminators of each branch, under its name.
        parts: the images of this replica pass through generator and teacher in so many parts, see `in_parts`.
    """

    reconstructs = False

    def __init__(
        self,
        generator: VQFR,
        teacher: Teacher,
        branches: Sequence[ImageBranch],
        code_matching: float,
        code_prediction: float,
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        parts: int = 1,
    ) -> None:
        self.generator = generator
        self.perceptual: Optional[tf.Module] = branches[0].perceptual  # the same for all
        self.parts = parts
        self.teacher = teacher
        self.branches = list(branches)
        self.code_weights = {"code_matching": code_matching}
        if generator.architecture.version == 2:
            self.code_weights["code_prediction"] = code_prediction
        self.optimizers = optimizers
        judges = {name: network for branch in branches for name, network in branch.networks.items()}
        self.saved: Mapping[str, Any] = {"generator": generator, "teacher": teacher, **judges}
        starts = {branch.adversarial_from for branch in branches if branch.networks}
        self.boundaries: Tuple[int, ...] = tuple(sorted(starts - {0}))

    def update_state(self, batch: Batch, context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Nothing here: all that changes is learned by gradients."""
        return {}

    def turns(self, step: int) -> List[Turn]:
        """The generator, then the discriminators of each branch if they have started."""
        turns = [Turn("generator", self.trained_variables(), partial(self._loss, step))]
        return turns + [branch.turn() for branch in self.branches if branch.adversarial(step)]

    def averaged(self, network: keras.Model) -> List[tf.Variable]:
        """The trained weights."""
        return list(network.trainable_variables)

    def after_step(self, step: int) -> None:
        """Nothing to do outside the graph."""

    def trained_variables(self) -> Dict[str, List[tf.Variable]]:
        """The variables of the generator that each optimizer moves. All others are frozen."""
        network = self.generator
        parts: List[keras.layers.Layer] = [network.encoder, network.quantizer]
        if network.architecture.version == 1:
            parts.append(network.decoder)
        autoencoder = [variable for part in parts for variable in part.trainable_variables]
        rest = {id(variable) for part in (*parts, network.decoder) for variable in part.trainable_variables}
        trained = {
            "autoencoder": [variable for variable in autoencoder if variable is not network.codebook],
            "main_branch": [variable for variable in network.trainable_variables if id(variable) not in rest],
        }
        return {name: variables for name, variables in trained.items() if variables}

    def _loss(self, step: int, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        network = self.generator
        kernels = {"texture": network.decoder.last_kernel, "main": network.last_kernel}
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(list(kernels.values()))
            faces, selection = network.forward(batch["degraded"], parts=self.parts)
            images = {"texture": faces.texture, "main": faces.restored}
            clean = target(batch["clean"], self.branches[0].perceptual)
            terms = {branch.name: branch.terms(images[branch.name], clean, step) for branch in self.branches}
        losses = [
            branch.total(images[branch.name], terms[branch.name], tape, kernels[branch.name], context.loss_scale)
            for branch in self.branches
        ]
        wanted = in_parts(self.teacher, self.parts, batch["clean"])
        codes = {"code_matching": code_matching_loss(selection.features, wanted.codes)}
        if "code_prediction" in self.code_weights:
            codes["code_prediction"] = code_cross_entropy(selection.logits, wanted.indices)
        value = tf.add_n([loss.value for loss in losses] + [self.code_weights[k] * term for k, term in codes.items()])
        scalars = {name: scalar for loss in losses for name, scalar in loss.scalars.items()}
        scalars.update({f"loss/{name}": term for name, term in codes.items()})
        agreeing = tf.equal(selection.indices, wanted.indices)
        scalars["codes/agreement"] = tf.reduce_mean(tf.cast(agreeing, tf.float32))
        return TurnLoss(value, scalars, {branch.name: images[branch.name] for branch in self.branches})
