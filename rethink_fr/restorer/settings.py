"""The settings of a run of the stochastic restorer, as frozen dataclasses, and their checks.

Does not import TensorFlow. Networks do not know these classes; they take plain keyword arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Tuple

from rethink_fr.config.checks import Checks, check_shared
from rethink_fr.config.sections import DataConfig, DegradationConfig, TrainingConfig


@dataclass(frozen=True)
class ModelConfig:
    """The section `model`: the arguments of `Restorer`."""

    resolution: int = 512
    width: float = 1.0
    n_skips: int = 4
    codebook_size: int = 1024
    fusion: Literal["lgf", "add", "concat", "sft"] = "lgf"
    quantize: bool = True
    noise: bool = True
    codebook_decay: float = 0.99
    codebook_reseed_after: int = 200  # steps without use before a code is re-seeded; 0 turns re-seeding off
    # What follows is not in the paper.
    pixel_noise: bool = False
    residual: bool = False
    gate_bias: float = 0.0  # added to the latent vector before the gate of the style noise


@dataclass(frozen=True)
class PosteriorConfig:
    """The section `objective.posterior`: several restorations of each image, trained to differ as the truth may.

    Not in the paper. L1 on every restoration is least when all of them are equal; see `losses.posterior` for what is
    used instead.
    """

    score: Literal["none", "rcgan", "energy"] = "none"  # "none": the paper's L1 on one restoration of each image
    draws: int = 2  # P, the number of restorations of each image
    weight: float = 1.0  # of the score of whole images; the scores of bands are relative to it
    bands: Tuple[float, float, float] = (1.0, 1.0, 1.0)  # weights of the fine, the middle and the coarse band
    spread: float = 1.0  # factor on the reward for differing; 1 is what the theory asks for
    adaptation: float = 0.0  # how far the factors move a step, for each 1 by which an error ratio is off; 0: fixed
    chroma: float = 1.0  # factor on colour before distances are taken; 1: distances in RGB
    deterministic: float = 1.0  # weight of L1 on the restoration with noise 0, which is to be the best single answer


@dataclass(frozen=True)
class ObjectiveConfig:
    """The section `objective`: weights of the restorer's loss (Eq. 7), and how the discriminator is trained.

    The perceptual terms are relative: of degraded images, each of the two comes to 1 at its weight, and every feature
    map of the network to the same share of it.
    """

    adversarial: float = 1.0  # alpha
    l1: float = 1.0  # without effect where `posterior` is on
    commitment: float = 1.0
    perceptual: str = "vgg19"  # "vgg19" (Keras' download), a network's file (see `load_feature_network`), or "none"
    feature: float = 1.0
    style: float = 1.0
    augment: str = "color,translation"  # DiffAugment policy; "" turns it off
    r1_gamma: float = 0.0  # weight of the R1 penalty; 0 turns it off
    r1_interval: int = 16  # in steps
    # What follows is not in the paper.
    conditional: bool = False  # whether the discriminator sees the degraded image too
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)


@dataclass(frozen=True)
class OptimizerConfig:
    """The section `optimizer`: Adam with the values of Appendix A of the paper, for both networks.

    "lamb", for large batches, and "adabelief" are not in the paper; see `addons.extra_optimizer`. "sgd" follows the
    gradient itself, without momentum: for comparing devices, whose gradients Adam's division by their size hides.
    """

    name: Literal["adam", "sgd", "lamb", "adabelief"] = "adam"
    learning_rate: float = 2.5e-3
    beta_1: float = 0.0
    beta_2: float = 0.99
    epsilon: float = 1e-8
    jit_compile: bool = False  # let XLA compile Adam's update of each variable on GPUs
    decay_steps: int = 0  # number of steps in which the learning rate falls to 0 along half a cosine; 0: it does not


@dataclass(frozen=True)
class ExperimentConfig:
    """The whole configuration of a run of the restorer, as in `config.yaml` in its folder."""

    architecture: Literal["rethink"] = "rethink"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def check_restorer(config: ExperimentConfig) -> None:
    """Check that all values make sense.

    Raises:
        ConfigError: if one does not; it names the key.
    """
    checks = Checks(config)
    model, objective, optimizer, steps = config.model, config.objective, config.optimizer, config.training.steps
    resolution = model.resolution
    power_of_two = resolution & (resolution - 1) == 0
    checks.require(32 <= resolution <= 1024 and power_of_two, "model.resolution", "a power of two, 32 to 1024")
    checks.within("model.width", 1 / 32, 8)
    checks.require(not config.training.teacher, "training.teacher", "'': only VQFR has a teacher")
    most = max_skips(resolution)
    checks.require(0 <= model.n_skips <= most, "model.n_skips", f"0 to {most} at {resolution} px")
    checks.within("model.codebook_size", 2, 1 << 20)
    checks.fraction("model.codebook_decay")
    checks.within("model.codebook_reseed_after", 0)
    check_shared(config)
    for key in ("adversarial", "l1", "commitment", "feature", "style", "r1_gamma"):
        checks.within(f"objective.{key}", 0)
    for key in ("weight", "bands", "spread", "adaptation", "chroma", "deterministic"):
        checks.within(f"objective.posterior.{key}", 0)
    checks.within("objective.posterior.draws", 2, 16)
    if objective.posterior.score != "none":
        checks.require(
            model.noise, "model.noise", "true where objective.posterior is on: without noise all draws are equal"
        )
    checks.within("objective.r1_interval", 1)
    policies = [policy for policy in objective.augment.split(",") if policy]
    checks.require(
        all(policy in ("color", "translation", "cutout") for policy in policies),
        "objective.augment",
        "a comma-separated choice of color, translation, cutout, or ''",
    )
    checks.require(bool(objective.perceptual), "objective.perceptual", "'vgg19', 'none' or the file of a network")
    checks.within("optimizer.learning_rate", 0, 10)
    checks.within("optimizer.epsilon", 0, 1)
    checks.fraction("optimizer.beta_1")
    checks.fraction("optimizer.beta_2")
    # A gradient is its own mean then, and nothing is left of the second moment.
    checks.require(optimizer.name != "adabelief" or optimizer.beta_1 > 0, "optimizer.beta_1", "above 0 with adabelief")
    checks.require(
        optimizer.name == "adam" or not optimizer.jit_compile, "optimizer.jit_compile", "false unless the name is adam"
    )
    checks.require(
        optimizer.decay_steps == 0 or optimizer.decay_steps >= steps,
        "optimizer.decay_steps",
        f"0 or at least training.steps ({steps})",
    )


def max_skips(resolution: int) -> int:
    """The largest number of skips: there can be one at each of the resolutions 8, 16, ... resolution / 2."""
    return resolution.bit_length() - 4
