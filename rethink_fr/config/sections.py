"""The sections of a configuration that every system has.

Only tasks and commands see these classes: layers and networks take plain keyword arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Tuple

from rethink_fr.types import DegradationRanges


@dataclass(frozen=True)
class FolderConfig:
    """One of several training folders."""

    path: str = ""  # a folder of images, or a folder of TFRecord files
    share: float = 0.0  # of the samples, of all folders together 1; 0 for all: every picture comes equally often
    held_out: str = ""  # a text file with the names of pictures that are not trained on, one a line; "" for none


@dataclass(frozen=True)
class DataConfig:
    """Where clean images come from, and how they are varied.

    `train` is `builtin` (drawn faces), a folder of images, or a folder of TFRecord files. `validation` is one of these,
    or `holdout`: then `validation_images` pictures are taken out of the training set, or a quarter of the set if it has
    no more than that.

    With `folders`, `train` is `several`, and `holdout` is what the lists of these folders hold out.
    """

    train: str = "builtin"
    folders: Tuple[FolderConfig, ...] = ()
    validation: str = "builtin"
    validation_images: int = 64
    portion: float = 1.0  # of the training pictures, that is trained on: every tenth one for 0.1
    builtin_identities: int = 500
    builtin_pictures: int = 6  # per identity
    flip: float = 0.5  # probability
    color_jitter: float = 0.0  # strength 0..1
    workers: int = 0  # parallel image readers; 0 lets tf.data choose
    service: str = ""  # grpc://HOST:PORT of a tf.data service that makes the batches; "": this process does


@dataclass(frozen=True)
class DegradationConfig(DegradationRanges):
    """How clean images are degraded. Tasks `blind` (Eq. 13) and `vqfr` use the ranges, `x8` and `x16` only reduce."""

    task: Literal["blind", "x8", "x16", "vqfr"] = "blind"


@dataclass(frozen=True)
class TrainingConfig:
    """How long a run is, and how often it logs, samples, validates and saves (all intervals are in steps)."""

    steps: int = 1_212_500  # 400 epochs of 97,000 images at batch 32
    global_batch: int = 32
    seed: int = 0
    average_decay: float = 0.999  # of the generator's average; 0: it is a copy
    accumulate: int = 1  # images pass through the networks in so many parts of the batch, to save memory
    recompute: bool = False  # whether activations of generator and perceptual network are computed again, not kept
    steps_per_execution: int = 1  # steps that TensorFlow takes without coming back to Python
    # In which convolutions multiply; all else is float32. "tf32": float32, for which GPUs may use TensorFloat-32.
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    force_precision: bool = False  # also where there are no instructions for it, and it is slower than float32
    init: str = ""  # the run whose weights this one starts from, "" for none; see `train --init`
    teacher: str = ""  # the run whose network teaches this one, "": that of `init`; see `train --teacher`
    log_every: int = 100
    sample_every: int = 2000
    validate_every: int = 5000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3
    # How the GPUs of one machine sum their gradients: as TensorFlow chooses, which is by NCCL; by NCCL's own operation;
    # or in two halves, for machines whose GPUs are wired like those of a DGX-1, an even number of them.
    cross_device: Literal["auto", "nccl", "hierarchical_copy"] = "auto"
    logical_cpus: int = 0  # split the CPU in this many devices, to try `mirrored` without GPUs
    # What is done when a loss is no longer finite, or a gradient norm explodes by one of the two limits.
    on_divergence: Literal["stop", "roll_back"] = "stop"
    gradient_norm_limit: float = 0.0  # of each optimizer's gradient norm; 0: none
    gradient_norm_ratio: float = 0.0  # the same, as a multiple of its median over the last 200 steps; 0: none
    rollback_factor: float = 0.5  # on all learning rates at each roll-back
    rollback_times: int = 3  # a run that diverges once more stops
    # The network that tells people apart, for iPrecision and iRecall in validation: an ONNX file, "facenet" for the
    # weights in the user's cache, or "" to leave them out.
    identity_network: str = ""


class Experiment(Protocol):
    """What the configurations of all systems have. Each is a frozen dataclass whose fields are frozen dataclasses."""

    @property
    def architecture(self) -> str:
        """Name of the system in `rethink_fr.systems`."""

    @property
    def model(self) -> Any:
        """The system's own section, which has a `resolution`."""

    @property
    def data(self) -> DataConfig:
        """Where clean images come from."""

    @property
    def degradation(self) -> DegradationConfig:
        """How they are degraded."""

    @property
    def training(self) -> TrainingConfig:
        """How long the run is, and how often what is done."""
