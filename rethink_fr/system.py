"""What a system of networks gives to those who restore with it and train it. `rethink_fr.systems` lists the systems.

Imports no TensorFlow at run time.
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

Precision = Literal["float32", "bfloat16"]  # of the products at inference; everything else is float32


class Inference(NamedTuple):
    """A restorer's network as `restore`, `export` and `load_restorer` use it."""

    network: keras.Model
    function: Callable[..., Dict[str, tf.Tensor]]  # (images, control=None) -> "restored", and "texture" if it has one
    resolution: int
    check_shape: Optional[Callable[[Tuple[int, ...]], None]]  # refuses images by a ValueError; None: one size only
    control: Optional[Literal["noise", "fidelity"]]  # what is given beside the images
    control_shape: Tuple[Optional[int], ...] = ()  # None stands for the batch
    has_texture: bool = False
    stochastic: bool = False  # whether noise changes the answer


class StepContext(Protocol):
    """What a training step gives its task beside the batch; one on each replica."""

    step: tf.Tensor  # int64 scalar: steps taken before this one

    def random_seed(self, purpose: int) -> tf.Tensor:
        """int64 `[2]` for stateless random operations: a function of the run's seed, the step and `purpose`.

        `purpose` is a task's own numbering of its draws, from 0.
        """

    def of_this_replica(self, draws: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """Rows of this replica, whose batch is `share`, out of draws made for the global batch."""

    def global_batch(self, share: tf.Tensor) -> tf.Tensor:
        """Images of all replicas together, each having `share`."""


class TurnLoss(NamedTuple):
    """What a turn computes on one replica's share of the batch."""

    value: tf.Tensor  # scalar to be minimised: mean over the share, weights applied
    scalars: Dict[str, tf.Tensor]  # to be logged, such as "loss/l1" (unweighted)
    made: Dict[str, tf.Tensor] = {}  # for the turns after it, without gradients


class Turn(NamedTuple):
    """One loss of a training step, and the optimizers that follow its gradient."""

    name: str  # the loss is logged as "loss/NAME", unless its scalars have that name
    # By optimizer, which serves one turn of a step; the norm is logged as "gradient_norm/OPTIMIZER". The loss has to
    # depend on every variable.
    variables: Dict[str, List[tf.Variable]]
    loss: Callable[[Mapping[str, tf.Tensor], StepContext, Mapping[str, tf.Tensor]], TurnLoss]  # batch, context, made


class TrainingTask(Protocol):
    """What a run trains and how; `training.trainer` drives it. Between boundaries the computation is the same.

    Batches are `{"degraded", "clean"}`, float32 `[b, R, R, 3]` in [-1, 1]: this replica's share of the global batch.
    """

    generator: keras.Model  # the network that is averaged, looked at and restored with
    saved: Mapping[str, Any]  # all that checkpoints must hold beside average, optimizers and step: trackable, by name
    optimizers: Mapping[str, keras.optimizers.Optimizer]  # the first one's learning rate is logged
    boundaries: Tuple[int, ...]  # steps from which on another computation runs; its graph is traced anew
    reconstructs: bool  # whether the generator is fed clean images, and looked at doing so

    def scalar_names(self, step: int) -> Sequence[str]:
        """Everything that `update_state` returns and the turns' losses have in `scalars` at this step."""

    def update_state(self, batch: Mapping[str, tf.Tensor], context: StepContext, step: int) -> Dict[str, tf.Tensor]:
        """Move what no gradient moves (codebooks), before the turns; on each replica. Returns scalars."""

    def turns(self, step: int) -> Sequence[Turn]:
        """The turns of a step, in order. `step` is any step between the same two boundaries."""

    def after_step(self, step: int) -> None:
        """Work outside the graph after `step` steps were taken, on every worker, in cross-replica context."""


class SourceRun(Protocol):
    """A run that another one starts from."""

    settings: Any  # its `model` section
    network: keras.Model  # built from them, with its averaged weights

    def start(self, task: TrainingTask) -> List[str]:
        """All that fits: the network's weights for the generator, which must be the same network, and `load`.

        Returns what was loaded, by name. Raises a ValueError if it is another network.
        """

    def load(self, saved: Mapping[str, Any]) -> List[str]:
        """Read what the run's checkpoint has of these under their names and in their shapes; returns their names."""


class System(NamedTuple):
    """A family of restorers, as the commands use it. Each is an entry of `SYSTEMS` in `rethink_fr.systems`.

    A module that holds one must not import TensorFlow: its functions do.
    """

    settings: type  # frozen dataclass: the `model` section of a run's config.yaml
    build: Callable[[Any], keras.Model]  # settings -> network, its variables created
    inference: Callable[[keras.Model, Precision], Inference]
    # settings -> rows of name and text: the networks of a configuration, their parameters and arithmetic
    costs: Callable[[Any], List[Tuple[str, str]]]
    # Weights under their published PyTorch names -> settings and network; a ValueError if they are something else.
    from_torch: Optional[Callable[[Mapping[str, np.ndarray]], Tuple[Any, keras.Model]]] = None
    # What can be trained has the next three. The frozen dataclass of a whole configuration, see `settings.Experiment`:
    experiment: Optional[type] = None
    check: Optional[Callable[[Any], None]] = None  # refuses an experiment's values by a ConfigError; looks at no file
    task: Optional[Callable[[Any], TrainingTask]] = None  # experiment -> task; called in the strategy's scope
    check_files: Optional[Callable[[Any], None]] = None  # refuses an experiment that names files that are not there
    # How a task starts from another run of its architecture, returning what was loaded; None: by `SourceRun.start`.
    initialise: Optional[Callable[[TrainingTask, SourceRun], List[str]]] = None
