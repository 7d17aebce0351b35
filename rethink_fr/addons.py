"""What tensorflow-addons does for this package. No other module names it, and it is imported when a function is called.

It is used where it was measured to be better (`tools/bench_geometry.py`): warping a picture, 2 to 6 times as fast as
`scipy.ndimage`, and distances to the edge of a mask, 2 to 3 times with the same numbers; and for optimizers that Keras
lacks. It is not used for connected components, where SciPy is 6 to 8 times as fast, nor for spectral normalisation: it
normalises the stored kernel, but the kernels of our discriminators get their scale when they are used.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Iterable, List, Literal, Tuple

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

Extra = Literal["lamb", "adabelief"]


def _addons() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notice that the package is at the end of its life
        import tensorflow_addons
    return tensorflow_addons


def warp(picture: NDArray[np.float32], matrix: NDArray[np.float64], size: Tuple[int, int]) -> NDArray[np.float32]:
    """Sample a picture bilinearly under an affine map; outside of it its nearest pixel is repeated.

    Args:
        picture: `[H, W, C]`.
        matrix: `[2, 3]`, from `(x, y, 1)` in the result to `(x, y)` in the picture; pixels lie at whole numbers.
        size: rows and columns of the result.

    Returns:
        `[rows, columns, C]`.
    """
    import numpy as np

    vector = np.append(np.asarray(matrix, np.float32).ravel(), np.zeros(2, np.float32))
    images = np.asarray(picture, np.float32)[None]
    found = _addons().image.transform(images, vector[None], "BILINEAR", "NEAREST", output_shape=list(size))
    result: NDArray[np.float32] = found.numpy()[0]
    return result


def distance_to_edge(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure how far each pixel of a mask `[H, W]` is from the nearest one outside of it; float32 `[H, W]`, pixels."""
    import numpy as np

    found = _addons().image.euclidean_dist_transform(np.asarray(mask, np.uint8)[..., None])
    result: NDArray[np.float32] = found.numpy()[..., 0]
    return result


def extra_optimizer(name: Extra, learning_rate: Any, beta_1: float, beta_2: float, epsilon: float) -> Any:
    """Make an optimizer that Keras lacks, with the methods of a Keras optimizer that training uses.

    Args:
        name: "lamb" (You et al. 2020, arXiv:1904.00962), for large batches: Adam's step is scaled for each variable by
            the quotient of its norm and the step's. "adabelief" (Zhuang et al. 2020, arXiv:2010.07468): Adam whose
            second moment is that of the gradient's distance from its mean.
        learning_rate: a number or a Keras schedule.
        beta_1, beta_2, epsilon: as Adam's.
    """
    make = {"lamb": _addons().optimizers.LAMB, "adabelief": _addons().optimizers.AdaBelief}[name]
    return _as_keras(make(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon))


def _as_keras(legacy: Any) -> Any:
    """Give one of Keras' older optimizers, on which tensorflow-addons builds, the methods of the newer ones."""
    import tensorflow as tf

    class Optimizer(tf.Module):
        """Keeps its variables where checkpoints look for those of a Keras optimizer."""

        def build(self, variables: Iterable[tf.Variable]) -> None:
            with tf.name_scope(legacy._name):
                legacy._create_all_weights(list(variables))
            self._variables: List[tf.Variable] = list(legacy.variables())

        @property
        def variables(self) -> List[tf.Variable]:
            return self._variables

        @property
        def iterations(self) -> tf.Variable:
            return legacy.iterations

        @property
        def learning_rate(self) -> tf.Tensor:  # of the newest step, as Keras' own optimizers give it
            rate = legacy._get_hyper("learning_rate")
            return tf.cast(rate(tf.maximum(legacy.iterations - 1, 0)) if callable(rate) else rate, tf.float32)

        def apply_gradients(self, pairs: Iterable[Any], skip_gradients_aggregation: bool = False) -> None:
            legacy.apply_gradients(pairs, experimental_aggregate_gradients=not skip_gradients_aggregation)

    return Optimizer()
