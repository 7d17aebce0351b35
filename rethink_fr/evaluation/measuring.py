"""Measuring pictures one after the other: only numbers and features are kept of them."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import (
    Any,
    Callable,
    Counter,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
    get_args,
)

import numpy as np
from tqdm import tqdm

from rethink_fr.evaluation.pairs import Resize, SameSize, read_together
from rethink_fr.evaluation.report.contents import Row
from rethink_fr.evaluation.samples import Files
from rethink_fr.metrics import SampleErrors, error_ratio
from rethink_fr.metrics.metric import Face, FeatureNeed, Metric, SampleSet
from rethink_fr.pictures.files import UnreadableImage

FEATURE_NETWORKS: Tuple[FeatureNeed, ...] = get_args(FeatureNeed)
Drawn = Tuple[str, int]  # a folder, and which of its samples of a picture
Failure = Tuple[str, str]  # file, reason
REFERENCE: Drawn = ("reference", 0)
DEGRADED: Drawn = ("degraded", 0)


class Measured(NamedTuple):
    """What was measured of the pictures.

    Features are kept rather than their means and covariances: the Frechet distance is exact from features even when
    there are fewer pictures than dimensions, and neighbours need them all. 2048 dimensions take 8 kB a picture.
    """

    rows: List[Row]
    failed: List[Failure]
    # By folder and metric, for each row: the numbers of its S samples, [S]; of a metric of samples its one or two.
    numbers: Dict[str, Dict[str, List[np.ndarray]]]
    features: Dict[str, Dict[str, List[np.ndarray]]]  # by folder and need: [S, D] of each row
    resized: Counter[str]  # pictures that were measured at another size, by folder

    def features_of(self, folder: str, draw: int = 0) -> Dict[str, np.ndarray]:
        """The features of a folder's pictures by need, of the samples `draw` of all of them: float32 `[N, D]`."""
        return {need: np.stack([row[draw] for row in rows]) for need, rows in self.features.get(folder, {}).items()}


class OfName(NamedTuple):
    """What was measured of the pictures of one name; see `Measured`."""

    row: Row
    numbers: Dict[str, Dict[str, np.ndarray]]  # by folder and metric
    features: Dict[str, Dict[str, np.ndarray]]  # by folder and need
    resized: Tuple[str, ...]  # folders


def measure(
    pairs: Sequence[Mapping[str, Files]],
    names: Sequence[str],
    people: Mapping[str, str],
    metrics: Sequence[Metric],
    tools: Mapping[str, Any],
    resize: Resize,
    progress: bool,
) -> Measured:
    """Read the pictures of each name, and compute the metrics of single pictures and the features for the others.

    The pictures of one name are in memory at a time, with all their samples.

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

    def found() -> Iterator[Union[OfName, Failure]]:
        bar = tqdm(list(zip(names, pairs)), desc="evaluating", unit="image", delay=2, disable=not progress)
        for name, pair in bar:
            try:
                yield measure_name(name, pair, people.get(name), metrics, tools, read_pictures(pair, resize))
            except UnreadableImage as error:
                yield error.name, error.reason

    return gather(found())


def read_pictures(pair: Mapping[str, Files], resize: Resize) -> SameSize[Drawn]:
    """Read the pictures of one name.

    Raises:
        UnreadableImage: if one of them cannot be read, or has another size.
    """
    return read_together(_by_draw(pair), resize, REFERENCE)  # without references, the first method's size counts


def measure_name(
    name: str,
    pair: Mapping[str, Files],
    person: Optional[str],
    metrics: Sequence[Metric],
    tools: Mapping[str, Any],
    together: SameSize[Drawn],
) -> OfName:
    """Measure the pictures of one name, as `read_pictures` returns them; other arguments as those of `measure`.

    Raises:
        UnreadableImage: if one of them cannot be used.
    """
    networks = {need: tools[need] for need in FEATURE_NETWORKS if any(need in metric.needs for metric in metrics)}
    kept = [need for need in networks if any(need in metric.needs for metric in metrics if metric.of_set)]
    files = _by_draw(pair)
    faces = _faces(files, together.pictures, networks)
    numbers = {folder: _numbers(folder, faces, metrics, tools, files) for folder in pair if folder != "reference"}
    values = {
        folder: {metric.name: _of_row(metric, found[metric.name]) for metric in metrics if metric.name in found}
        for folder, found in numbers.items()
    }

    def of_folder(folder: str, need: FeatureNeed) -> np.ndarray:
        draws = range(len(pair[folder]))
        return np.stack([np.asarray(faces[folder, draw].features[need][0], np.float32) for draw in draws])

    return OfName(
        Row(name, person, values, {folder: str(paths[0]) for folder, paths in pair.items()}),
        numbers,
        {folder: {need: of_folder(folder, need) for need in kept} for folder in pair},
        tuple(folder for folder, _ in together.resized),
    )


def gather(found: Iterable[Union[OfName, Failure]]) -> Measured:
    """Put together what was measured of each name, and the failures."""
    measured = Measured([], [], {}, {}, collections.Counter())
    for one in found:
        if not isinstance(one, OfName):
            measured.failed.append(one)
            continue
        measured.rows.append(one.row)
        measured.resized.update(one.resized)
        for of_all, of_one in ((measured.numbers, one.numbers), (measured.features, one.features)):
            for folder, arrays in of_one.items():
                for key, array in arrays.items():
                    of_all.setdefault(folder, {}).setdefault(key, []).append(array)
    return measured


def _by_draw(pair: Mapping[str, Files]) -> Dict[Drawn, Path]:
    return {(folder, draw): path for folder, paths in pair.items() for draw, path in enumerate(paths)}


def _faces(
    files: Mapping[Drawn, Path], pictures: Mapping[Drawn, np.ndarray], networks: Mapping[FeatureNeed, Any]
) -> Dict[Drawn, Face]:
    """The pictures of one name with their features. Each network sees all of them together, once."""
    together = np.stack(list(pictures.values()))
    seen: Dict[int, np.ndarray] = {}  # by network: one may serve several needs
    for network in networks.values():
        if id(network) not in seen:
            features = seen[id(network)] = np.asarray(network(together))
            for path, one in zip(files.values(), features):
                if not np.isfinite(one).all():
                    raise UnreadableImage(
                        str(path), f"what {network.name} makes of it is not finite; look at the image"
                    )
    degraded = pictures[DEGRADED][None] if DEGRADED in pictures else None
    return {
        drawn: Face(
            picture[None], {need: seen[id(network)][place : place + 1] for need, network in networks.items()}, degraded
        )
        for place, (drawn, picture) in enumerate(pictures.items())
    }


def _numbers(
    folder: str,
    faces: Mapping[Drawn, Face],
    metrics: Sequence[Metric],
    tools: Mapping[str, Any],
    files: Mapping[Drawn, Path],
) -> Dict[str, np.ndarray]:
    """The numbers of the pictures of one name in one folder, by metric; see `Measured`."""
    drawn = [key for key in faces if key[0] == folder]
    reference = faces.get(REFERENCE)  # None only where no metric looks at it: they have the need `reference`
    samples = SampleSet(
        np.concatenate([faces[key].picture for key in drawn]),
        {need: np.concatenate([faces[key].features[need] for key in drawn]) for need in faces[drawn[0]].features},
        None if reference is None else reference.picture[0],  # type: ignore[arg-type]
    )
    numbers: Dict[str, np.ndarray] = {}
    for metric in metrics:
        if metric.of_image is not None:
            found = [_number(metric, files[key], metric.of_image, faces[key], reference, tools) for key in drawn]
        elif metric.of_samples is not None and len(drawn) > 1:
            found = [_number(metric, files[drawn[0]], metric.of_samples, samples, tools)]
        else:
            continue
        numbers[metric.name] = np.concatenate(found)
    return numbers


def _number(metric: Metric, path: Path, compute: Callable[..., Any], *arguments: Any) -> np.ndarray:
    """What a metric computes of a file, `[1]` or `[2]`."""
    try:
        number = np.asarray(compute(*arguments), np.float64).reshape(-1)
    except ValueError as error:  # too small for a window or a block
        raise UnreadableImage(str(path), str(error)) from error
    if np.isnan(number).any():
        raise UnreadableImage(str(path), f"its {metric.name} is not a number; look at the image")
    return number


def _of_row(metric: Metric, numbers: np.ndarray) -> float:
    """The number of one row: the mean over the samples; of two errors their ratio."""
    if metric.of_samples is not None and len(numbers) == 2:
        return error_ratio([SampleErrors(*numbers)])
    return float(np.mean(numbers))
