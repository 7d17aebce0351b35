"""Stage 1: an autoencoder and its codebook learn to reproduce clean faces."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.system import StepContext, Turn, TurnLoss
from rethink_fr.vqfr.networks.network import VQGAN
from rethink_fr.vqfr.settings import CodebookConfig
from rethink_fr.vqfr.training.image_branch import ImageBranch, target
from rethink_fr.vqfr.training.reservoir import Reservoir, reestimate
from rethink_fr.vqfr.training.usage import UsageMeter

_RESERVOIR = 0  # purpose of random numbers
Batch = Mapping[str, tf.Tensor]


class CodebookTask:
    """Trains a `VQGAN` to reproduce clean faces; a `TrainingTask`.

    "VQFR" (Gu et al., ECCV 2022), section 3.2. In version 1 the codebook starts in three phases, which are in the
    released code but not in the paper. At first features are not quantized at all. Then they are, and every so often
    the codebook is replaced by the k-means centres of a sample of features. Finally it learns by its loss alone.

    Args:
        generator: the network, its variables created.
        codebook: when the phases begin.
        codebook_weight: weight of the codebook loss.
        branch: loss and discriminators of the texture image, the only image in this stage.
        optimizers: "autoencoder" for the network, and that of the branch's discriminators under its name.
        parts: the images of this replica pass through the generator in so many parts, see `in_parts`.
    """

    reconstructs = True

    def __init__(
        self,
        generator: VQGAN,
        codebook: CodebookConfig,
        codebook_weight: float,
        branch: ImageBranch,
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        parts: int = 1,
    ) -> None:
        self.generator = generator
        self.perceptual: Optional[tf.Module] = branch.perceptual
        self.parts = parts
        self.phases = codebook
        self.codebook_weight = codebook_weight
        self.branch = branch
        self.codebook = generator.codebook
        self.usage = UsageMeter(self.codebook.shape[0])
        saved: Dict[str, Any] = {"generator": generator, "usage": self.usage, **branch.networks}
        self.reservoir: Optional[Reservoir] = None
        if codebook.reestimate_until:
            self.reservoir = saved["reservoir"] = Reservoir(
                codebook.reservoir, self.codebook.shape[1], self.codebook.dtype
            )
        self.saved: Mapping[str, Any] = saved
        self.optimizers = optimizers
        starts = [codebook.quantize_from, codebook.reestimate_until]
        if branch.networks:
            starts.append(branch.adversarial_from)
        self.boundaries: Tuple[int, ...] = tuple(sorted({step for step in starts if step > 0}))

    def update_state(self, batch: Batch, context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Nothing here: the sample of features and the usage of codes are updated where the loss has computed both."""
        return {}

    def turns(self, step: int) -> List[Turn]:
        """The autoencoder, then the discriminators if they have started."""
        variables = self.generator.trainable_variables
        if not self._quantizes(step):
            variables = [variable for variable in variables if variable is not self.codebook]
        turns = [Turn("autoencoder", {"autoencoder": variables}, partial(self._loss, step))]
        return turns + [self.branch.turn()] if self.branch.adversarial(step) else turns

    def averaged(self, network: keras.Model) -> List[tf.Variable]:
        """The trained weights."""
        return list(network.trainable_variables)

    def after_step(self, step: int) -> Sequence[tf.Variable]:
        """Replace the codebook by k-means centres every so often; scikit-learn computes them outside the graph."""
        if self.reservoir is not None and self._samples(step) and step % self.phases.reestimate_every == 0:
            reestimate(self.codebook, self.reservoir, self.phases.n_init)
            return [self.codebook]
        return []

    def _loss(self, step: int, batch: Batch, context: StepContext, made: Batch) -> TurnLoss:
        kernel = self.generator.decoder.last_kernel
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            image, selection = self.generator.reconstruct(batch["clean"], self._quantizes(step), self.parts)
            terms = self.branch.terms(image, target(batch["clean"], self.branch.perceptual), step)
        assert selection.loss is not None  # only predicted codes have none
        loss = self.branch.total(image, terms, tape, kernel, context.loss_scale)
        if self.reservoir is not None and self._samples(step):
            self.reservoir.add(selection.features, context.random_seed(_RESERVOIR))
        scalars = {"loss/codebook": selection.loss, **self.usage.count(selection.indices, context.step)}
        value = loss.value + self.codebook_weight * selection.loss
        return TurnLoss(value, {**loss.scalars, **scalars}, {self.branch.name: image})

    def _quantizes(self, step: int) -> bool:
        return step >= self.phases.quantize_from

    def _samples(self, step: int) -> bool:
        return step < self.phases.reestimate_until
