"""What a system of networks gives the commands. `rethink_fr.systems` lists those that there are.

Imports no TensorFlow at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Literal, Mapping, NamedTuple, Optional, Protocol, Tuple

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow import keras

    from rethink_fr.training.task import TrainingTask

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
    """A family of restorers, as the workflows see it. Each is an entry of `SYSTEMS` in `rethink_fr.systems`.

    A module that holds one must not import TensorFlow: its functions do.
    """

    settings: type  # frozen dataclass: the `model` section of a run's config.yaml
    build: Callable[[Any], keras.Model]  # settings -> network, its variables created
    inference: Callable[[keras.Model, Precision], Inference]
    # Weights under their published PyTorch names -> settings and network; a ValueError if they are something else.
    from_torch: Optional[Callable[[Mapping[str, np.ndarray]], Tuple[Any, keras.Model]]] = None
    # What can be trained has the next three. The frozen dataclass of a whole configuration, see `settings.Experiment`:
    experiment: Optional[type] = None
    check: Optional[Callable[[Any], None]] = None  # refuses an experiment's values by a ConfigError; looks at no file
    task: Optional[Callable[[Any], TrainingTask]] = None  # experiment -> task; called in the strategy's scope
    check_files: Optional[Callable[[Any], None]] = None  # refuses an experiment that names files that are not there
    # How a task starts from another run of its architecture, returning what was loaded; None: by `SourceRun.start`.
    initialise: Optional[Callable[[TrainingTask, SourceRun], List[str]]] = None
