"""The contract between a system of networks and the rest of the package: what it offers to `restore` and to `train`.

A system is a family of restorers with its settings, its networks and its way of training. Each describes itself by one
`System` object; `rethink_fr.systems` lists them. Nothing here imports TensorFlow at run time.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow import keras

# In which precision convolutions multiply when a network restores; everything else is float32.
Precision = Literal["float32", "bfloat16", "tf32"]


class Inference(NamedTuple):
    """A network ready to restore images: what `restore`, `export` and `load_restorer` use."""

    network: keras.Model
    # (images, control=None) -> {"restored": images}, and "texture" if the network makes a texture image. The images are
    # float32 [B, H, W, 3] RGB in [-1, 1].
    function: Callable[..., Dict[str, tf.Tensor]]
    resolution: int  # pixels on a side
    # Raises a ValueError for a shape of images that the network does not take; None if it takes its resolution only.
    check_shape: Optional[Callable[[Tuple[int, ...]], None]]
    control: Optional[Literal["noise", "fidelity"]]  # the second input, if there is one
    control_shape: Tuple[Optional[int], ...] = ()  # None stands for the batch
    has_texture: bool = False
    stochastic: bool = False  # whether different noise gives different images


class StepContext(Protocol):
    """What the trainer tells a task about the current training step. Each replica has its own."""

    step: tf.Tensor  # int64 scalar: number of steps taken before this one
    # The trainer multiplies losses by this scalar for the gradient, 1 unless gradients are float16. A task that takes a
    # gradient of its own does the same, and leaves what is not finite in the loss's gradient: the step is then skipped.
    loss_scale: tf.Tensor

    def random_seed(self, purpose: int) -> tf.Tensor:
        """Seed for a stateless random operation, int64 `[2]`.

        It depends on the run's seed, the step and `purpose` only. A task numbers its own purposes, from 0.
        """

    def of_this_replica(self, draws: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """The rows of `draws` that belong to this replica.

        Args:
            draws: random numbers for the global batch, one row for each image.
            share: number of images on this replica.
        """

    def global_batch(self, share: tf.Tensor) -> tf.Tensor:
        """Number of images on all replicas together, if each has `share` of them."""


class TurnLoss(NamedTuple):
    """What the loss of a `Turn` returns, computed on this replica's share of the batch."""

    value: tf.Tensor  # scalar to be minimised: the weighted mean over the share
    scalars: Dict[str, tf.Tensor]  # what is logged of this step beside it, such as the unweighted term "loss/l1"
    made: Dict[str, tf.Tensor] = {}  # tensors for the turns after this one, which get them without gradients


class Turn(NamedTuple):
    """One part of a training step: a loss, and the optimizers that follow its gradient."""

    name: str  # the loss is logged as "loss/NAME"
    # The variables that each optimizer moves. An optimizer may serve only one turn of a step, and the loss must depend
    # on every variable. The norm of its gradient is logged as "gradient_norm/OPTIMIZER".
    variables: Dict[str, List[tf.Variable]]
    # (batch, context, made by the turns before) -> loss
    loss: Callable[[Mapping[str, tf.Tensor], StepContext, Mapping[str, tf.Tensor]], TurnLoss]


class TrainingTask(Protocol):
    """What a run trains: networks, optimizers and losses. `rethink_fr.training.trainer` takes the steps.

    A batch is `{"degraded", "clean"}`, float32 `[b, R, R, 3]` in [-1, 1]: this replica's share of the global batch.
    Methods that get a `step` may compute something else from certain steps on, the `boundaries`. The trainer calls
    them once when it traces the graph, and again after each boundary.
    """

    generator: keras.Model  # the network that is averaged, shown in sample sheets and restored with
    perceptual: Optional[tf.Module]  # the fixed network of the perceptual terms, if there are any
    saved: Mapping[str, Any]  # what a checkpoint holds beside the average, the optimizers and the step; by name
    optimizers: Mapping[str, keras.optimizers.Optimizer]  # by name; the learning rate of the first is logged
    boundaries: Tuple[int, ...]  # the steps from which on something else is computed
    reconstructs: bool  # True if the generator learns to reproduce clean images instead of restoring degraded ones

    def update_state(self, batch: Mapping[str, tf.Tensor], context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Update what is not learned by gradients, such as codebooks. Comes first in a step; returns what is logged."""

    def turns(self, step: int) -> Sequence[Turn]:
        """The turns of a step, in their order."""

    def averaged(self, network: keras.Model) -> Sequence[tf.Variable]:
        """The variables of the generator, or of a network like it, that are averaged; the others are copied."""

    def after_step(self, step: int) -> Optional[Sequence[tf.Variable]]:
        """Do what cannot be done in a graph, after `step` steps were taken. Called on every worker, not per replica.

        Returns those variables of the generator that it replaced, if any; the average takes them over at once.
        """


class SourceRun(Protocol):
    """A run whose weights another run starts from (`train --init`, `--teacher`)."""

    settings: Any  # its `model` section
    network: keras.Model  # built from these settings, with the averaged weights of its newest checkpoint

    def start(self, task: TrainingTask) -> List[str]:
        """Copy the weights of `network` to the task's generator, and load whatever else its checkpoint has.

        Returns the names of what was loaded. Raises a ValueError if the generator is another network.
        """

    def load(self, saved: Mapping[str, Any]) -> List[str]:
        """Load those objects that its checkpoint holds under the same name and with the same shapes.

        Returns their names.
        """


class System(NamedTuple):
    """A family of restorers as the commands see it.

    The module that makes this object must not import TensorFlow; the functions in it do, when they are called.
    """

    settings: type  # frozen dataclass: the `model` section of config.yaml
    build: Callable[[Any], keras.Model]  # these settings -> the network, its variables created
    inference: Callable[[keras.Model, Precision], Inference]
    # these settings -> rows of (name, text) about the networks' parameters and arithmetic, for `rethink-fr info`
    costs: Callable[[Any], List[Tuple[str, str]]]
    # Published PyTorch weights by name -> the settings and the network that they belong to. Raises a ValueError if they
    # belong to none. None if nothing was published.
    from_torch: Optional[Callable[[Mapping[str, np.ndarray]], Tuple[Any, keras.Model]]] = None
    # What follows is None for a system that cannot be trained. A run's whole configuration: a frozen dataclass with the
    # sections of `config.sections.Experiment` and the system's own.
    experiment: Optional[type] = None
    check: Optional[Callable[[Any], None]] = None  # raises a ConfigError if values of it make no sense; reads no files
    check_files: Optional[Callable[[Any], None]] = None  # raises a ConfigError if it names files that do not exist
    task: Optional[Callable[[Any], TrainingTask]] = None  # makes what a run trains; called in the strategy's scope
    # Starts a task from another run and returns what was loaded. None: `SourceRun.start` does.
    # With a third argument it is the run whose network is the teacher (`training.teacher`).
    initialise: Optional[Callable[..., List[str]]] = None
