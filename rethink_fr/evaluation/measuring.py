"""Measuring pictures one after the other: only numbers and features are kept of them."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any, Counter, Dict, List, Mapping, NamedTuple, Sequence, Tuple, get_args

import numpy as np
from tqdm import tqdm

from rethink_fr.evaluation.pairs import Resize, read_together
from rethink_fr.evaluation.report.contents import Row
from rethink_fr.metrics.metric import Face, FeatureNeed, Metric
from rethink_fr.pictures.files import UnreadableImage

FEATURE_NETWORKS: Tuple[FeatureNeed, ...] = get_args(FeatureNeed)


class Measured(NamedTuple):
    """What was measured of the pictures.

    Features are kept rather than their means and covariances: the Frechet distance is exact from features even when
    there are fewer pictures than dimensions, and neighbours need them all. 2048 dimensions take 8 kB a picture.
    """

    rows: List[Row]
    failed: List[Tuple[str, str]]  # (file, reason)
    features: Dict[str, Dict[str, List[np.ndarray]]]  # by folder and need: [1, D] of each picture in `rows`
    resized: Counter[str]  # pictures that were measured at another size, by folder

    def features_of(self, folder: str) -> Dict[str, np.ndarray]:
        """The features of a folder's pictures, by need: float32 `[N, D]`."""
        return {need: np.concatenate(parts) for need, parts in self.features.get(folder, {}).items()}


def measure(
    pairs: Sequence[Mapping[str, Path]],
    names: Sequence[str],
    people: Mapping[str, str],
    metrics: Sequence[Metric],
    tools: Mapping[str, Any],
    resize: Resize,
    progress: bool,
) -> Measured:
    """Read the pictures of each name, and compute the metrics of single pictures and the features for the others.

    Args:
        pairs: the files of each name, by folder.
        names: what each of `pairs` is called.
        people: who is on each picture, as far as that is known.
        metrics: what to compute.
        tools: networks and statistics, by need.
        resize: see `rethink_fr.evaluation.pairs.read_together`.
        progress: show a bar on stderr if it takes longer than two seconds.

    Returns:
        A row for each name of which all pictures can be used. The others are in `failed`.
    """
    networks = {need: tools[need] for need in FEATURE_NETWORKS if any(need in metric.needs for metric in metrics)}
    of_image = [metric for metric in metrics if metric.of_image]
    kept = [need for need in networks if any(need in metric.needs for metric in metrics if metric.of_set)]
    measured = Measured([], [], {}, collections.Counter())
    for name, pair in tqdm(list(zip(names, pairs)), desc="evaluating", unit="image", delay=2, disable=not progress):
        try:
            together = read_together(pair, resize)
            faces = _faces(pair, together.pictures, networks)
            values = {
                folder: _values(face, faces["reference"], of_image, tools, pair[folder])
                for folder, face in faces.items()
                if folder != "reference"
            }
        except UnreadableImage as error:
            measured.failed.append((error.name, error.reason))
            continue
        measured.resized.update(together.resized)
        files = {folder: str(path) for folder, path in pair.items()}
        measured.rows.append(Row(name, people.get(name), values, files))
        for folder, face in faces.items():
            for need in kept:
                features = measured.features.setdefault(folder, {}).setdefault(need, [])
                features.append(np.asarray(face.features[need], np.float32))
    return measured


def _faces(
    pair: Mapping[str, Path], pictures: Mapping[str, np.ndarray], networks: Mapping[FeatureNeed, Any]
) -> Dict[str, Face]:
    """The pictures of one name with their features, by folder. Each network sees all of them together, once."""
    together = np.stack(list(pictures.values()))
    seen: Dict[int, np.ndarray] = {}  # by network: one may serve several needs
    for network in networks.values():
        if id(network) not in seen:
            features = seen[id(network)] = np.asarray(network(together))
            for path, one in zip(pair.values(), features):
                if not np.isfinite(one).all():
                    raise UnreadableImage(
                        str(path), f"what {network.name} makes of it is not finite; look at the image"
                    )
    return {
        folder: Face(picture[None], {need: seen[id(network)][place : place + 1] for need, network in networks.items()})
        for place, (folder, picture) in enumerate(pictures.items())
    }


def _values(
    face: Face, reference: Face, metrics: Sequence[Metric], tools: Mapping[str, Any], path: Path
) -> Dict[str, float]:
    values: Dict[str, float] = {}
    for metric in metrics:
        assert metric.of_image is not None
        try:
            values[metric.name] = float(metric.of_image(face, reference, tools))
        except ValueError as error:  # too small for a window or a block
            raise UnreadableImage(str(path), str(error)) from error
        if np.isnan(values[metric.name]):
            raise UnreadableImage(str(path), f"its {metric.name} is not a number; look at the image")
    return values
