"""The feature and the style term of the restorer's objective, on any feature network, weighted by a rule."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Sequence

import tensorflow as tf

from rethink_fr.layers.parts import in_parts
from rethink_fr.layers.recompute import recomputable
from rethink_fr.losses.lpips import unit_vectors
from rethink_fr.losses.perceptual import feature_differences, gram_matrix, style_differences
from rethink_fr.losses.posterior import energy_score, frobenius_norm

Network = Callable[[tf.Tensor], List[tf.Tensor]]  # see `FeatureNetwork`


class PerceptualTerms(tf.Module):
    """The two terms of L_percep: Eqs. 14 and 15 for one restoration of each image, energy scores for several.

    Of several restorations, the squared difference of each would be least if all were equal; see `losses.posterior`.
    Their feature term is the energy score of the feature vectors, scaled to length 1 at each position as LPIPS does,
    their style term that of the Gram matrices, by the Frobenius norm: our reading of both equations for draws.

    Both terms are relative; see `RelativeTerm`.

    Args:
        network: from images in [-1, 1] to feature maps.
        weights: of "feature" and "style"; a term of weight 0 is not computed.
        resolution: of the images, in pixels.
        several: whether there will be several restorations of each image.
        parts: images pass through the network in so many parts, see `in_parts`.
    """

    def __init__(
        self, network: Network, weights: Mapping[str, float], resolution: int, several: bool, parts: int = 1
    ) -> None:
        super().__init__(name="perceptual_terms")
        self.network = network
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self._several = several
        self._parts = parts
        maps = len(network(tf.zeros([1, resolution, resolution, 3])))
        self.relative = {name: RelativeTerm(maps) for name in self.weights}

    def calibrate(self, clean: tf.Tensor, degraded: tf.Tensor) -> None:
        """Measure the terms of degraded images, to which they are relative. Call it in the first steps, on replicas."""
        for name, distances in self._distances(clean, [degraded]).items():
            self.relative[name].measure(distances)

    def __call__(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> Dict[str, tf.Tensor]:
        """The unweighted terms of restorations `[B, H, W, 3]`, each a scalar."""
        return {name: self.relative[name].of(found) for name, found in self._distances(clean, draws).items()}

    def _distances(self, clean: tf.Tensor, draws: Sequence[tf.Tensor]) -> Dict[str, List[tf.Tensor]]:
        """For each term the distance in each feature map, a mean over the images."""
        return in_parts(self._distances_of_part, self._parts, clean, *draws)

    @recomputable
    def _distances_of_part(self, clean: tf.Tensor, *draws: tf.Tensor) -> Dict[str, List[tf.Tensor]]:
        wanted, found = self.network(clean), [self.network(draw) for draw in draws]
        if not self._several:
            compute = {"feature": feature_differences, "style": style_differences}
            return {name: compute[name](wanted, found[0]) for name in self.weights}
        by_map = list(zip(wanted, zip(*found)))
        scores: Dict[str, List[tf.Tensor]] = {}
        if "feature" in self.weights:
            units = [(unit_vectors(target), [unit_vectors(one) for one in drawn]) for target, drawn in by_map]
            scores["feature"] = [energy_score(target, drawn) for target, drawn in units]
        if "style" in self.weights:
            grams = [(gram_matrix(target), [gram_matrix(one) for one in drawn]) for target, drawn in by_map]
            scores["style"] = [energy_score(target, drawn, distance=frobenius_norm) for target, drawn in grams]
        return scores


class RelativeTerm(tf.Module):
    """A perceptual term relative to that of degraded images: the weights of Eqs. 14 and 15, by a rule.

    The paper gives each feature map a weight and does not say which. The distances of two maps differ by orders of
    magnitude, and those of two networks even more. Our reading: a map's distance is divided by the mean one between
    degraded and clean images, and the term is the mean over the maps. A degraded image then has the value 1, to which
    every map contributes equally, whatever the network.

    Args:
        maps: number of feature maps.
    """

    def __init__(self, maps: int) -> None:
        super().__init__(name="relative_term")
        self.sums = self._state("sums", [maps])
        self.count = self._state("count", [])

    def measure(self, distances: Sequence[tf.Tensor]) -> None:
        """Take in the distances of one batch of degraded images, a scalar for each map. Call it in replica context."""
        replica = tf.distribute.get_replica_context()
        self.sums.assign_add(replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(distances)))
        self.count.assign_add(1.0)

    def of(self, distances: Sequence[tf.Tensor]) -> tf.Tensor:
        """The term for the distances of restored images, a scalar for each map. `measure` must have been called."""
        return tf.reduce_mean(tf.stack(distances) * tf.math.divide_no_nan(self.count, self.sums))

    @staticmethod
    def _state(name: str, shape: Sequence[int]) -> tf.Variable:
        return tf.Variable(
            tf.zeros(shape), trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA, name=name
        )
