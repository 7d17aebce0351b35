"""`rethink-fr evaluate`: metrics over folders of restored pictures, and their references if there are any.

A metric that cannot be computed is named in the report with the reason, and never replaced by another.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Union, get_args

import numpy as np
import PIL
import scipy

from rethink_fr import __version__
from rethink_fr.evaluation.choosing import choose, named_metrics
from rethink_fr.evaluation.figures import make_figures
from rethink_fr.evaluation.measuring import FEATURE_NETWORKS, Measured, measure
from rethink_fr.evaluation.needs import Loaders, Sources
from rethink_fr.evaluation.pairs import SOURCE, Resize, check_resize, read_identities
from rethink_fr.evaluation.report.contents import EvaluationReport
from rethink_fr.evaluation.samples import pair_samples
from rethink_fr.metrics.bootstrap import DRAWS
from rethink_fr.metrics.metric import FeatureNeed, PerceptualNeed, Protocol
from rethink_fr.pictures.listing import list_images

_NETWORKS = {*get_args(FeatureNeed), *get_args(PerceptualNeed)}  # needs that load a network
# A method may not be called so: these names have another meaning in the report.
_RESERVED = ("reference", "degraded", "name", "identity", "definition", "unit", "better")
_Folder = Union[str, Path]


def evaluate(
    restored: Union[_Folder, Mapping[str, _Folder]],
    reference: Optional[_Folder],
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
    measuring: Callable[..., Measured] = measure,
    mapping: Optional[_Folder] = None,
) -> EvaluationReport:
    """Measure restored pictures, and compare each with the reference of the same name.

        report = evaluate("restored", "clean", degraded="degraded", metrics=["psnr", "lpips"])

    Args:
        restored: folder of restored pictures; or the folders of several methods, by the methods' names. A folder may
            hold samples of each picture instead, NAME_1, NAME_2 and so on; see `rethink_fr.evaluation.samples`.
        reference: folder with pictures of the same names; endings may differ, sizes may if `resize` is given. None: a
            set without references, of which only metrics are computed that need none, such as NIQE and FID against
            statistics.
        degraded: another such folder, which is measured in the same way for comparison.
        identities: CSV file with the columns `name` and `identity`, for iPrecision and iRecall; or what else
            `rethink_fr.evaluation.pairs.read_identities` takes, with `mapping`.
        metrics: names of metrics or of groups of them, see `rethink_fr.metrics.table`; by default all that can be
            computed.
        protocol: `ours`, or `vqfr` for numbers on the basis of VQFR's tables.
        sources: files of networks and statistics.
        k: number of neighbours of precision and recall; they are computed for all of 1..k.
        seed: of the resampling that gives the confidence intervals.
        resize: `"reference"` or a number of pixels: the size at which pictures are measured; see
            `rethink_fr.evaluation.pairs.read_together`. None: pictures of unequal sizes are listed in `failed`.
        progress: show a bar on stderr if it takes longer than two seconds.
        loaders: functions that load each need, instead of `sources.loaders()`.
        measuring: reads and measures the pictures, as `rethink_fr.evaluation.measuring.measure` does.

    Returns:
        The report: a figure for each metric and folder, a row for each name, and what could not be read (`failed`) or
        computed (`missing`). If one picture of a name cannot be used, the name is left out of every folder, so that
        all figures are of the same names.

    Raises:
        ValueError: for unknown metrics; for folders that are missing, empty or not paired; for files of identities,
            networks or statistics that cannot be used; and for a `k` that the number of pictures does not allow.
    """
    methods = {"restored": restored} if isinstance(restored, (str, Path)) else dict(restored)
    wrong = [name for name in methods if name in _RESERVED or not name.strip()]
    if wrong or not methods:
        raise ValueError(f"--restored: a method may not be called {wrong or 'nothing'!r}; choose another name")
    check_resize(resize)
    asked = named_metrics(metrics, protocol)
    given = {"reference": reference, "degraded": degraded}
    others: Dict[str, _Folder] = {what: folder for what, folder in given.items() if folder}
    folders = {**methods, **others}
    paired = pair_samples(methods, others)
    names, pairs = list(paired), list(paired.values())
    samples = {folder: len(files) for folder, files in pairs[0].items() if folder != "reference"}
    people = read_identities(identities, names, mapping) if identities else None

    several = max(samples.values()) > 1
    choice = choose(asked, people, bool(reference), bool(degraded), several, loaders or sources.loaders())
    if k < 1:
        raise ValueError(f"--k: {k}; expected 1 or more")
    if any(set(metric.needs) & _NETWORKS for metric in choice.metrics):
        from rethink_fr.ops.tensor_float_32 import allow_tensor_float_32  # here, because it loads TensorFlow

        allow_tensor_float_32(False)
    neighbours = [metric.name for metric in choice.metrics if "neighbours" in metric.needs]
    if neighbours and k >= len(pairs):
        reason = f"--k {k}: expected at most {len(pairs) - 1}, since {reference} holds {len(pairs)} images"
        if metrics is not None:
            raise ValueError(reason)
        choice = choice.without(neighbours, reason)

    measured = measuring(pairs, names, people or {}, choice.metrics, choice.tools, resize, progress)
    columns = [folder for folder in folders if folder != "reference"]
    made = make_figures(choice.metrics, columns, measured, choice.tools, samples, k, seed)
    lacking = (*choice.lacking, *made.impossible)
    networks = {
        need: {"name": choice.tools[need].name, "sha256": choice.tools[need].sha256}
        for need in (*FEATURE_NETWORKS, *get_args(PerceptualNeed))
        if need in choice.tools
    }
    return EvaluationReport(
        protocol=protocol,
        methods=tuple(methods),
        folders={folder: str(path) for folder, path in folders.items()},
        samples=samples,
        metrics=choice.metrics,
        statistics=sources.statistics(),
        networks=networks,
        figures=tuple(made.figures),
        rows=tuple(made.rows),
        resize=resize,
        resized={folder: measured.resized[folder] for folder in folders},
        missing=lacking if metrics is not None else (),
        left_out=lacking if metrics is None else (),
        failed=tuple(measured.failed),
        k=k,
        seed=seed,
        resamples=DRAWS,
        versions=_versions(with_networks=bool(networks)),
    )


def input_files(
    restored: Mapping[str, _Folder],
    reference: Optional[_Folder],
    degraded: Optional[_Folder],
    identities: Optional[_Folder],
    sources: Sources,
    mapping: Optional[_Folder] = None,
) -> List[Path]:
    """Every file that `evaluate` may read when it gets these arguments: none of them may be written over.

    Raises:
        ValueError: for folders that are not there.
    """
    folders = [folder for folder in (*restored.values(), reference, degraded) if folder is not None]
    pictures = [path for folder in folders for path in list_images(folder)]
    who = [Path(file) for file in (identities, mapping) if file is not None and str(file) != SOURCE]
    return [*pictures, *who, *sources.files()]


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
