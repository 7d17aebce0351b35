"""What metrics need beyond the images: networks, statistics, identities; loaded by name, each file once."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Literal, Mapping, Optional, Tuple, Union

from rethink_fr.metrics import load_fid_statistics, load_niqe_statistics

# Networks that see each image once, before the metrics. The others are called by their metric.
FEATURE_NETWORKS = ("inception", "recognition", "landmarks", "neighbours")
PERCEPTUAL_NETWORKS = ("lpips_vgg", "lpips_alex")
_STATISTICS = ("niqe_statistics", "fid_statistics")

Loaders = Mapping[str, Callable[[], Any]]


class Missing(ValueError):  # noqa: N818 (reads as what happened)
    """Something that a metric needs was not given and is not there; the message says what to do."""


@dataclass(frozen=True)
class Sources:
    """Files of what metrics need. None: of a network, the built-in one from the user's cache; of statistics, nothing.

    `identity_net` (ONNX) takes the place of both identity networks, FaceNet of precision and recall and ArcFace of
    Deg.; `landmark_net` (ONNX) that of AWing. `features` says what precision and recall look at.
    """

    niqe_statistics: Optional[Path] = None
    fid_statistics: Optional[Path] = None
    identity_net: Optional[Path] = None
    landmark_net: Optional[Path] = None
    inception: Optional[Path] = None
    facenet: Optional[Path] = None
    arcface: Optional[Path] = None
    awing: Optional[Path] = None
    lpips_vgg: Optional[Path] = None
    lpips_alex: Optional[Path] = None
    features: Literal["identity", "inception"] = "identity"

    def loaders(self) -> Dict[str, Callable[[], Any]]:
        """For each need what loads it, or raises `Missing`.

        Raises:
            ValueError: naming a file that was given and is not there.
        """
        for name, path in vars(self).items():
            if isinstance(path, (str, Path)) and name != "features" and not Path(path).is_file():
                raise ValueError(f"{path}: no such file; expected the one of --{name.replace('_', '-')}")
        from rethink_fr.workflows import feature_networks as networks

        inception = _once(networks.load_inception, self.inception)
        if self.identity_net:
            recognition = facenet = _once(networks.load_onnx_embedder, self.identity_net)
        else:
            recognition, facenet = (
                _once(networks.load_arcface, self.arcface),
                _once(networks.load_facenet, self.facenet),
            )
        return {
            "inception": inception,
            "recognition": recognition,
            "neighbours": inception if self.features == "inception" else facenet,
            "landmarks": _once(networks.load_onnx_landmarks, self.landmark_net)
            if self.landmark_net
            else _once(networks.load_awing, self.awing),
            "lpips_vgg": _once(functools.partial(networks.load_lpips, "vgg"), self.lpips_vgg),
            "lpips_alex": _once(functools.partial(networks.load_lpips, "alex"), self.lpips_alex),
            "niqe_statistics": lambda: load_niqe_statistics(
                _given(self.niqe_statistics, "needs the statistics of pristine photographs; add --niqe-statistics")
            ),
            "fid_statistics": lambda: load_fid_statistics(
                _given(self.fid_statistics, "needs the statistics of a data set's features; add --fid-statistics")
            ),
        }

    def statistics(self) -> Dict[str, Dict[str, str]]:
        """File and SHA-256 of the statistics that were given, for a report."""
        given = {name: getattr(self, name) for name in _STATISTICS}
        return {name: fingerprint(path) for name, path in given.items() if path}


def load_needs(names: Iterable[str], loaders: Loaders) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """What is there of these needs, and for the others the reason.

    Raises:
        ValueError: for files that were given and cannot be used.
    """
    tools: Dict[str, Any] = {}
    absent: Dict[str, str] = {}
    for name in names:
        try:
            tools[name] = loaders[name]()
        except Missing as error:
            absent[name] = str(error)
    return tools, absent


def fingerprint(path: Union[str, Path]) -> Dict[str, str]:
    """A file's name and the SHA-256 of its bytes."""
    return {"file": str(path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _once(load: Callable[[Optional[Path]], Any], path: Optional[Path]) -> Callable[[], Any]:
    """Loads the file on the first call only: one network may serve several needs."""

    @functools.cache
    def loaded() -> Any:
        from rethink_fr.workflows.feature_networks import MissingWeights

        try:
            return load(path)
        except MissingWeights as error:
            if path:
                raise
            raise Missing(str(error)) from error

    return loaded


def _given(path: Optional[Path], otherwise: str) -> Path:
    if path is None:
        raise Missing(f"{otherwise} FILE.npz")
    return path
