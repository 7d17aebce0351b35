"""What metrics need beyond the images: networks, statistics, identities; loaded by name, each file once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Literal, Mapping, Optional, Tuple, Union

from rethink_fr.evaluation.networks.crops import Box
from rethink_fr.evaluation.networks.onnx_network import ValueRange
from rethink_fr.files.checksums import file_sha256
from rethink_fr.metrics import load_fid_statistics, load_niqe_statistics
from rethink_fr.weights.known import KNOWN_WEIGHTS

# Networks that see each image once, before the metrics. The others are called by their metric.
FEATURE_NETWORKS = ("inception", "recognition", "landmarks", "neighbours", "codes")
PERCEPTUAL_NETWORKS = ("lpips_vgg", "lpips_alex")
_STATISTICS = ("niqe_statistics", "fid_statistics")

Loaders = Mapping[str, Callable[[], Any]]


class Missing(ValueError):  # noqa: N818 (reads as what happened)
    """Something that a metric needs was not given and is not there; the message says what to do."""


@dataclass(frozen=True)
class Sources:
    """Files of what metrics need. None: of a network, the built-in one from the user's cache; of statistics, nothing.

    `identity_net` (ONNX) takes the place of both identity networks, FaceNet of precision and recall and ArcFace of
    Deg.; `landmark_net` (ONNX) that of AWing. Their value ranges
    ("-1..1", "0..1", "0..255") and crops (left, top, right, bottom as fractions of the picture) are what the files'
    metadata say unless given; see `features.onnx_network`. `codes` is the directory of a run of VQFR. `features` says
    what precision and recall look at.
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
    codes: Optional[Path] = None
    features: Literal["identity", "inception"] = "identity"
    identity_range: Optional[ValueRange] = None
    identity_crop: Optional[Box] = None
    landmark_range: Optional[ValueRange] = None
    landmark_crop: Optional[Box] = None

    def loaders(self) -> Dict[str, Callable[[], Any]]:
        """For each need what loads it, or raises `Missing`.

        Raises:
            ValueError: naming a file that was given and is not there.
        """
        for name, path in vars(self).items():
            if isinstance(path, Path) and not (path.is_dir() if name == "codes" else path.is_file()):
                raise ValueError(f"{path}: no such file; expected the one of --{name.replace('_', '-')}")
        inception = _built_in("inception", self.inception, lambda networks, path: networks.load_inception(path))
        facenet = _built_in("facenet", self.facenet, lambda networks, path: networks.load_facenet(path))
        arcface = _built_in("arcface", self.arcface, lambda networks, path: networks.load_arcface(path))
        awing = _built_in("awing", self.awing, lambda networks, path: networks.load_awing(path))
        if self.identity_net:
            facenet = arcface = functools.cache(self._identity_network)
        return {
            "inception": inception,
            "recognition": arcface,
            "neighbours": inception if self.features == "inception" else facenet,
            "landmarks": self._landmark_network if self.landmark_net else awing,
            "lpips_vgg": _built_in(
                "lpips-vgg", self.lpips_vgg, lambda networks, path: networks.load_lpips("vgg", path)
            ),
            "lpips_alex": _built_in(
                "lpips-alex", self.lpips_alex, lambda networks, path: networks.load_lpips("alex", path)
            ),
            "codes": self._code_network,
            "niqe_statistics": lambda: load_niqe_statistics(
                _given(self.niqe_statistics, "needs the statistics of pristine photographs; add --niqe-statistics")
            ),
            "fid_statistics": lambda: load_fid_statistics(
                _given(self.fid_statistics, "needs the statistics of a data set's features; add --fid-statistics")
            ),
        }

    def _identity_network(self) -> Any:
        from rethink_fr.evaluation.networks import loading as feature_networks

        assert self.identity_net is not None
        return feature_networks.load_onnx_embedder(self.identity_net, self.identity_range, self.identity_crop)

    def _landmark_network(self) -> Any:
        from rethink_fr.evaluation.networks import loading as feature_networks

        assert self.landmark_net is not None
        return feature_networks.load_onnx_landmarks(self.landmark_net, self.landmark_range, self.landmark_crop)

    def _code_network(self) -> Any:
        if self.codes is None:
            raise Missing("needs a codebook; add --codes RUN_DIR, a run of VQFR")
        from rethink_fr.evaluation.networks.codes import CodeNetwork

        return CodeNetwork(self.codes)

    def files(self) -> List[Path]:
        """Every file that may be read: those given, the files of the run, and the weights in the user's cache."""
        given = [path for path in vars(self).values() if isinstance(path, Path)]
        cached = [file.path for known in KNOWN_WEIGHTS.values() for file in known.files]
        return [*given, *(self.codes.rglob("*") if self.codes else ()), *cached]

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
    return {"file": str(path), "sha256": file_sha256(Path(path))}


def _built_in(name: str, path: Optional[Path], load: Callable[[Any, Optional[Path]], Any]) -> Callable[[], Any]:
    """What loads a network of ours, on the first call only: one network may serve several needs."""

    @functools.cache
    def loaded() -> Any:
        # Looked for before anything is imported: the networks need TensorFlow, which takes seconds to load.
        if path is None and not all(file.path.is_file() for file in KNOWN_WEIGHTS[name].files):
            raise Missing(
                f"the weights of {name} are not there; run `rethink-fr weights fetch {name}`, or add --{name} FILE"
            )
        from rethink_fr.evaluation.networks import loading as feature_networks

        return load(feature_networks, path)

    return loaded


def _given(path: Optional[Path], otherwise: str) -> Path:
    if path is None:
        raise Missing(f"{otherwise} FILE.npz")
    return path
