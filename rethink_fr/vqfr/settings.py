"""The settings of VQFR's networks and of a run of either stage, as frozen dataclasses, and their checks.

Does not import TensorFlow. The published settings of each stage and version are in `configs/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Literal, Tuple

from rethink_fr.config.checks import Checks, ConfigError, check_shared
from rethink_fr.config.sections import DataConfig, DegradationConfig, TrainingConfig
from rethink_fr.weights.known import KNOWN_WEIGHTS


@dataclass(frozen=True)
class VQFRSettings:
    """The section `model`: which network, and its sizes (see `reduced_architecture`). Defaults are as published."""

    network: Literal["vqfr", "vqgan"] = "vqfr"
    version: Literal[1, 2] = 1
    resolution: int = 512
    width: float = 1.0
    levels: int = 6  # 5, 6, 7: a code stands for 16, 32, 64 pixels squared
    codebook_size: int = 1024
    decoder: Literal["parallel", "unwarped", "single", "codes"] = "parallel"  # others: ablations of stage 2; see `VQFR`

    @property
    def has_main_branch(self) -> bool:
        """Whether the restored image is another one than the texture image; in stage 2."""
        return self.decoder in ("parallel", "unwarped")


@dataclass(frozen=True)
class CodebookConfig:
    """The section `codebook`: how stage 1 starts the codebook. Numbers are steps; version 2 has 0 for the first two."""

    quantize_from: int = 10_000  # before this step features are not replaced by codes
    reestimate_until: int = 30_000  # before this step k-means centres of features replace the codebook ...
    reestimate_every: int = 2_000  # ... every so many steps
    reservoir: int = 16_384  # number of feature vectors that the centres are computed from
    n_init: int = 1  # number of starts of k-means, of which the best counts


@dataclass(frozen=True)
class BranchConfig:
    """The sections `objective.texture` and `objective.main`: weights of the losses of one image; 0 turns one off."""

    l1: float = 1.0
    lpips: float = 1.0
    style: float = 0.0
    global_adversarial: float = 1.0  # with 0 there is no global discriminator
    local_adversarial: float = 0.0  # multiplies the adaptive weight; with 0 there is no local discriminator
    adversarial_from: int = 0  # the step at which the discriminators start


@dataclass(frozen=True)
class VQFRObjectiveConfig:
    """The section `objective`: weights of all losses.

    Stage 1 makes the texture image only. Stage 2 has losses for both images in version 1, and for the main image in
    version 2. Settings that a stage does not use are ignored.
    """

    # The path of VGG-16 and LPIPS weights, "fetched" for those of `rethink-fr weights fetch lpips-vgg`, or "none" to
    # leave the terms lpips and style out.
    vgg16: str = "fetched"
    codebook: float = 1.0  # stage 1
    code_matching: float = 1.0  # stage 2
    code_prediction: float = 1.0  # stage 2, version 2
    texture: BranchConfig = field(default_factory=BranchConfig)
    main: BranchConfig = field(default_factory=BranchConfig)
    adaptive_l1: bool = True  # whether the adaptive weight is computed from L1, too, not from lpips and style alone
    local_discriminator: float = 0.5  # weight of the local discriminator's own loss
    r1_gamma: float = 10.0  # weight of the global discriminators' R1 penalty; 0 turns it off
    r1_interval: int = 16  # in steps


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The section `discriminator`. Version 1 has `wavelet` and 3 patch layers, version 2 `style` and 4."""

    kind: Literal["wavelet", "style"] = "wavelet"
    patch_layers: int = 3
    width: float = 1.0


@dataclass(frozen=True)
class AdamConfig:
    """The settings of one Adam optimizer (Kingma and Ba 2015)."""

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.96


@dataclass(frozen=True)
class VQFROptimizerConfig:
    """The section `optimizer`: an optimizer for each part, and when all learning rates fall.

    With `name: sgd` all parts follow the gradient itself, for comparing devices; not in the paper.
    """

    name: Literal["adam", "sgd"] = "adam"
    autoencoder: AdamConfig = field(default_factory=AdamConfig)  # encoder, codes, and texture decoder if it is trained
    main_branch: AdamConfig = field(default_factory=AdamConfig)  # stage 2: all the rest of the generator
    discriminators: AdamConfig = field(default_factory=AdamConfig)
    milestones: Tuple[int, ...] = ()  # steps at which all learning rates are multiplied ...
    gamma: float = 0.5  # ... by this factor
    jit_compile: bool = False  # let XLA compile Adam's update of each variable on GPUs


@dataclass(frozen=True)
class VQFRExperiment:
    """The whole configuration of a run of either stage, as in `config.yaml` in its folder."""

    architecture: Literal["vqfr"] = "vqfr"
    stage: Literal["codebook", "restoration"] = "codebook"
    model: VQFRSettings = field(default_factory=VQFRSettings)
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    objective: VQFRObjectiveConfig = field(default_factory=VQFRObjectiveConfig)
    optimizer: VQFROptimizerConfig = field(default_factory=VQFROptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def trained_branches(config: VQFRExperiment) -> Tuple[Literal["texture", "main"], ...]:
    """The images whose losses train the generator; each is a section of `objective`."""
    if config.stage == "codebook" or not config.model.has_main_branch:
        return ("texture",)
    return ("texture", "main") if config.model.version == 1 else ("main",)


def check(config: VQFRExperiment) -> None:
    """Check that all values make sense. Files are not looked at.

    Raises:
        ConfigError: if one does not; it names the key.
    """
    check_shared(config)
    checks, model = Checks(config), config.model
    network = "vqgan" if config.stage == "codebook" else "vqfr"
    checks.require(model.network == network, "model.network", f"{network} in stage {config.stage}")
    checks.require(2 <= model.levels <= 7, "model.levels", "2 to 7")
    if config.stage == "codebook":
        checks.require(model.decoder == "parallel", "model.decoder", "parallel in stage codebook")
    if model.version == 2:
        checks.require(model.has_main_branch, "model.decoder", "parallel or unwarped in version 2")
    checks.within("model.width", 1 / 32, 8)
    power_of_two = model.resolution & (model.resolution - 1) == 0
    lowest = max(32, 1 << model.levels)
    checks.require(
        lowest <= model.resolution <= 1024 and power_of_two, "model.resolution", f"a power of two, {lowest} to 1024"
    )
    checks.within("model.codebook_size", 2, 1 << 20)
    checks.within("discriminator.patch_layers", 1, 6)
    checks.within("discriminator.width", 1 / 32, 8)
    _check_objective(config, checks)
    for name in ("autoencoder", "main_branch", "discriminators"):
        checks.within(f"optimizer.{name}.learning_rate", 0, 10)
        checks.fraction(f"optimizer.{name}.beta_1")
        checks.fraction(f"optimizer.{name}.beta_2")
    milestones = config.optimizer.milestones
    checks.require(
        all(first < second for first, second in zip((0, *milestones), milestones)),
        "optimizer.milestones",
        "steps in rising order",
    )
    checks.within("optimizer.gamma", 0, 1)
    if config.stage == "codebook":
        checks.require(not config.training.teacher, "training.teacher", "'' in stage codebook, which has no teacher")
        _check_codebook(config, checks)


def check_files(config: VQFRExperiment) -> None:
    """Check that the files exist that the configuration names, and that stage 2 has a run to start from.

    Raises:
        ConfigError: if not; it names the key.
    """
    if config.stage == "restoration" and not config.training.init:
        raise ConfigError(
            "training.init: stage restoration starts from a run of stage codebook, or from published weights made "
            "ready by convert-vqfr; name its directory with --init RUN_DIR"
        )
    for path in perceptual_files(config.objective.vgg16):
        if not path.is_file():
            raise ConfigError(
                f"objective.vgg16: no file {path}; run `rethink-fr weights fetch lpips-vgg` and set 'fetched', give a "
                "file with the weights of VGG-16 and LPIPS, or 'none' to train without the perceptual terms"
            )


def perceptual_files(source: str) -> List[Path]:
    """The files that the setting `objective.vgg16` stands for."""
    if source == "none":
        return []
    return [file.path for file in KNOWN_WEIGHTS["lpips-vgg"].files] if source == "fetched" else [Path(source)]


def _check_objective(config: VQFRExperiment, checks: Checks) -> None:
    objective = config.objective
    checks.require(bool(objective.vgg16), "objective.vgg16", "'fetched', a file of VGG-16 and LPIPS weights, or 'none'")
    for key in ("codebook", "code_matching", "code_prediction", "local_discriminator", "r1_gamma"):
        checks.within(f"objective.{key}", 0)
    checks.within("objective.r1_interval", 1)
    if config.stage == "codebook":
        checks.require(objective.codebook > 0, "objective.codebook", "above 0: nothing else trains the codebook")
    elif config.model.version == 2:
        reason = "above 0: nothing else trains the prediction of codes"
        checks.require(objective.code_prediction > 0, "objective.code_prediction", reason)
    perceptual = objective.vgg16 != "none"
    for name in trained_branches(config):
        branch: BranchConfig = getattr(objective, name)
        for key in ("l1", "lpips", "style", "global_adversarial", "local_adversarial", "adversarial_from"):
            checks.within(f"objective.{name}.{key}", 0)
        seen = perceptual and branch.lpips + branch.style > 0
        checks.require(branch.l1 > 0 or seen, f"objective.{name}.l1", "above 0 where there is no perceptual term")
        counted = seen or (branch.l1 > 0 and objective.adaptive_l1)
        checks.require(
            branch.local_adversarial == 0 or counted,
            "objective.adaptive_l1",
            "true where there is no perceptual term: the adaptive weight has nothing else to go by",
        )


def _check_codebook(config: VQFRExperiment, checks: Checks) -> None:
    model, codebook = config.model, config.codebook
    for key in ("quantize_from", "reestimate_until"):
        checks.within(f"codebook.{key}", 0)
    checks.within("codebook.reestimate_every", 1)
    if codebook.reestimate_until:
        together = config.training.steps_per_execution
        whole = codebook.reestimate_every % together == 0
        expected = f"a multiple of the {together} of training.steps_per_execution"
        checks.require(whole, "codebook.reestimate_every", expected)
        checks.within("codebook.reservoir", model.codebook_size)
        checks.within("codebook.n_init", 1, 100)
        side = model.resolution >> (model.levels - 1)
        needed = -(-model.codebook_size // (config.training.global_batch * side * side))
        checks.require(
            codebook.reestimate_every >= needed,
            "codebook.reestimate_every",
            f"{needed} or more, to have as many feature vectors as codes",
        )
