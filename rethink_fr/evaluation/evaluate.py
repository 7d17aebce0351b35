"""`rethink-fr evaluate`: metrics over folders of restored images and their references.

Images are read one name at a time and forgotten; only numbers and features are kept. A metric that cannot be computed
is named with its reason in the report and never replaced by another.
"""

from __future__ import annotations

import collections
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Counter, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import PIL
import scipy
from tqdm import tqdm

from rethink_fr import __version__
from rethink_fr.evaluation.figures import FeatureStore, make_figures
from rethink_fr.evaluation.measures import METRICS, NEIGHBOUR_METRICS, Face, Metric, Protocol, named_metrics
from rethink_fr.evaluation.needs import FEATURE_NETWORKS, PERCEPTUAL_NETWORKS, Loaders, Missing, Sources, load_needs
from rethink_fr.evaluation.pairs import Resize, check_resize, image_name, pair_by_name, read_identities, read_together
from rethink_fr.evaluation.report.contents import EvaluationReport, Row
from rethink_fr.metrics.bootstrap import DRAWS
from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.listing import list_images

_RESERVED = ("reference", "degraded", "name", "identity", "definition", "unit", "better")  # keys beside methods in JSON
_Folder = Union[str, Path]


def evaluate(
    restored: Union[_Folder, Mapping[str, _Folder]],
    reference: _Folder,
    degraded: Optional[_Folder] = None,
    identities: Optional[_Folder] = None,
    metrics: Optional[Sequence[str]] = None,
    protocol: Protocol = "ours",
    sources: Sources = Sources(),  # noqa: B008 (frozen)
    k: int = 4,
    seed: int = 0,
    resize: Resize = None,
    progress: bool = True,
    loaders: Optional[Loaders] = None,
) -> EvaluationReport:
    """Compare each restored image with the reference of its name.

    Args:
        restored: folder of restored images, or folders of several methods by the methods' names.
        reference: folder with images of the same names, and sizes unless `resize` is given; endings may differ.
        degraded: another such folder, measured in the same way for comparison.
        identities: CSV file with the columns `name` and `identity`; goes into the rows, and into iPrecision.
        metrics: names in `METRICS[protocol]` or `GROUPS`; by default all that can be computed.
        protocol: `ours`, or `vqfr` for numbers on the basis of VQFR's tables.
        sources: files of networks and statistics.
        k: neighbours of precision and recall; all of 1..k are computed.
        seed: of the confidence intervals' resampling.
        resize: `"reference"` or a number of pixels: the size at which images are measured; see
            `rethink_fr.evaluation.pairs.read_together`. None: images of unequal sizes are listed in `failed`.
        progress: show a bar on stderr if it takes longer than two seconds.
        loaders: what loads each need, instead of `sources.loaders()`.

    Returns:
        The report: figures, rows of images, and what could not be read (`failed`) or computed (`missing`). A name of
        which one image cannot be used is left out of every folder, so that all figures are of the same names.

    Raises:
        ValueError: for unknown metrics, folders that are missing, empty or not paired, unusable files of identities,
            networks or statistics, and a k that the number of images does not allow.
    """
    methods = {"restored": restored} if isinstance(restored, (str, Path)) else dict(restored)
    wrong = [name for name in methods if name in _RESERVED or not name.strip()]
    if wrong or not methods:
        raise ValueError(f"--restored: a method may not be called {wrong or 'nothing'!r}; choose another name")
    check_resize(resize)
    names = named_metrics(metrics, protocol)
    folders = {**methods, "reference": reference, **({"degraded": degraded} if degraded else {})}
    pairs = pair_by_name(folders)
    rows_of = [image_name(pair["reference"], reference) for pair in pairs]
    people = read_identities(identities, rows_of) if identities else None

    chosen, tools, lacking = _choose(names, METRICS[protocol], people, loaders or sources.loaders())
    if k < 1:
        raise ValueError(f"--k: {k}; expected 1 or more")
    neighbours = [name for name in NEIGHBOUR_METRICS if name in chosen]
    if neighbours and k >= len(pairs):
        reason = f"--k {k}: expected at most {len(pairs) - 1}, since {reference} holds {len(pairs)} images"
        if metrics is not None:
            raise ValueError(reason)
        lacking += [(name, reason) for name in neighbours]
        chosen = {name: metric for name, metric in chosen.items() if name not in neighbours}

    measured = _measure(pairs, rows_of, people or {}, chosen, tools, resize, progress)
    rows = measured.rows
    columns = [what for what in folders if what != "reference"]
    found, impossible = make_figures(chosen, columns, rows, measured.store, tools, k, seed)
    lacking += impossible
    networks = {need: tools[need] for need in (*FEATURE_NETWORKS, *PERCEPTUAL_NETWORKS) if need in tools}
    return EvaluationReport(
        protocol=protocol,
        methods=tuple(methods),
        folders={what: str(folder) for what, folder in folders.items()},
        statistics=sources.statistics(),
        networks={need: {"name": network.name, "sha256": network.sha256} for need, network in networks.items()},
        figures=tuple(found),
        rows=tuple(rows),
        resize=resize,
        resized={what: measured.resized[what] for what in folders},
        missing=tuple(lacking if metrics is not None else ()),
        left_out=tuple(lacking if metrics is None else ()),
        failed=tuple(measured.failed),
        k=k,
        seed=seed,
        resamples=DRAWS,
        versions=_versions(with_networks=bool(networks)),
    )


def input_files(
    restored: Mapping[str, _Folder],
    reference: _Folder,
    degraded: Optional[_Folder],
    identities: Optional[_Folder],
    sources: Sources,
) -> List[Path]:
    """Every file that `evaluate` may read when it is called with these: what may not be written over.

    Raises:
        ValueError: for folders that are not there.
    """
    folders = [folder for folder in (*restored.values(), reference, degraded) if folder is not None]
    pictures = [path for folder in folders for path in list_images(folder)]
    return [*pictures, *([Path(identities)] if identities is not None else []), *sources.files()]


def _choose(
    names: Sequence[str], offered: Mapping[str, Metric], people: Optional[Dict[str, str]], loaders: Loaders
) -> Tuple[Dict[str, Metric], Dict[str, Any], List[Tuple[str, str]]]:
    """The metrics that can be computed, their tools, and the other metrics with what to do."""

    def identities() -> Dict[str, str]:
        if people is None:
            raise Missing("needs to know who is on each picture; add --identities CSV with the columns name,identity")
        return people

    needs = dict.fromkeys(need for name in names for need in offered[name].needs)
    tools, absent = load_needs(needs, {**loaders, "identities": identities})
    chosen: Dict[str, Metric] = {}
    lacking: List[Tuple[str, str]] = []
    for name in names:
        reasons = [absent[need] for need in offered[name].needs if need in absent]
        if reasons:
            lacking.append((name, "; ".join(reasons)))
        else:
            chosen[name] = offered[name]
    return chosen, tools, lacking


class _Measured(NamedTuple):
    """What became of the images, one name after the other."""

    rows: List[Row]
    failed: List[Tuple[str, str]]  # (file, reason)
    store: FeatureStore
    resized: Counter[str]  # by folder


def _measure(
    pairs: Sequence[Dict[str, Path]],
    names: Sequence[str],
    people: Mapping[str, str],
    chosen: Mapping[str, Metric],
    tools: Mapping[str, Any],
    resize: Resize,
    progress: bool,
) -> _Measured:
    """A row for each name, the files that cannot be used, and the features of the others."""
    needed = {need for metric in chosen.values() for need in metric.needs}
    networks = {need: tools[need] for need in FEATURE_NETWORKS if need in needed}
    kept = [need for need in networks for metric in chosen.values() if need in metric.needs and not metric.of_image]
    of_image = {name: metric for name, metric in chosen.items() if metric.of_image}
    measured = _Measured([], [], FeatureStore(), collections.Counter())
    for name, pair in tqdm(list(zip(names, pairs)), desc="evaluating", unit="image", delay=2, disable=not progress):
        try:
            together = read_together(pair, resize)
            faces = _faces(pair, together.pictures, networks)
            values = {
                what: _values(face, faces["reference"], of_image, tools, pair[what])
                for what, face in faces.items()
                if what != "reference"
            }
        except UnreadableImage as error:
            measured.failed.append((error.name, error.reason))
            continue
        measured.resized.update(together.resized)
        measured.rows.append(Row(name, people.get(name), values, {what: str(path) for what, path in pair.items()}))
        for what, face in faces.items():
            for need in dict.fromkeys(kept):
                measured.store.add(need, what, face.features[need])
    return measured


def _faces(
    pair: Mapping[str, Path], pictures: Mapping[str, np.ndarray], networks: Mapping[str, Any]
) -> Dict[str, Face]:
    """The images of one name, by folder; each network sees them together.

    Raises:
        UnreadableImage: naming the file of which a network makes nothing finite.
    """
    together = np.stack(list(pictures.values()))
    seen: Dict[int, np.ndarray] = {}  # one network may serve several needs
    for network in networks.values():
        if id(network) not in seen:
            features = seen[id(network)] = np.asarray(network(together))
            for path, one in zip(pair.values(), features):
                if not np.isfinite(one).all():
                    raise UnreadableImage(
                        str(path), f"what {network.name} makes of it is not finite; look at the image"
                    )
    return {
        what: Face(picture[None], {need: seen[id(network)][place : place + 1] for need, network in networks.items()})
        for place, (what, picture) in enumerate(pictures.items())
    }


def _values(
    face: Face, reference: Face, metrics: Mapping[str, Metric], tools: Mapping[str, Any], path: Path
) -> Dict[str, float]:
    values: Dict[str, float] = {}
    for name, metric in metrics.items():
        assert metric.of_image is not None
        try:
            values[name] = float(metric.of_image(face, reference, tools))
        except ValueError as error:  # too small for a window or a block
            raise UnreadableImage(str(path), str(error)) from error
        if np.isnan(values[name]):
            raise UnreadableImage(str(path), f"its {name} is not a number; look at the image")
    return values


def _versions(with_networks: bool) -> Dict[str, str]:
    versions = {
        "rethink_fr": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pillow": PIL.__version__,
    }
    for package in ("tensorflow", "onnxruntime") if with_networks else ():
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
