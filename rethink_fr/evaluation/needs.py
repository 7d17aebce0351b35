"""What metrics need beside pictures: networks and statistics, from files that were given or from the user's cache."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Literal, Mapping, Optional, Tuple, get_args

from rethink_fr.evaluation.fid_statistics import read_fid_statistics
from rethink_fr.evaluation.networks.crops import Box
from rethink_fr.evaluation.networks.onnx_network import ValueRange
from rethink_fr.files.checksums import file_sha256
from rethink_fr.metrics import load_niqe_statistics
from rethink_fr.metrics.metric import Statistics
from rethink_fr.weights.known import KNOWN_WEIGHTS

Loaders = Mapping[str, Callable[[], Any]]  # by need


class Missing(ValueError):  # noqa: N818 (reads as what happened)
    """Something that a metric needs was not given and is not in the cache. The message says what to do."""


@dataclass(frozen=True)
class Sources:
    """The files that networks and statistics are loaded from.

    A network that is None is loaded from the user's cache; statistics that are None are missing. The two ONNX networks
    replace built-in ones. The files' own metadata say their value ranges and crops, unless they are given here; see
    `rethink_fr.evaluation.networks.onnx_network`.

    Attributes:
        niqe_statistics: an `.npz` file; see `rethink_fr.metrics`.
        fid_statistics: see `rethink_fr.evaluation.fid_statistics`.
        identity_net: ONNX network for Deg. and for precision and recall, instead of ArcFace and FaceNet.
        landmark_net: ONNX network for LMD, instead of AWing.
        perceptual_net: network for `perceptual` and `diversity`: a file or folder that
            `rethink_fr.losses.feature_network` loads.
        inception, facenet, arcface, awing, lpips_vgg, lpips_alex: weights of the built-in networks.
        codes: directory of a run of VQFR, whose codebook's usage is measured.
        features: which network's features precision and recall look at.
        identity_range, landmark_range: "-1..1", "0..1" or "0..255".
        identity_crop, landmark_crop: left, top, right, bottom as fractions of the picture.
    """

    niqe_statistics: Optional[Path] = None
    fid_statistics: Optional[Path] = None
    identity_net: Optional[Path] = None
    landmark_net: Optional[Path] = None
    perceptual_net: Optional[Path] = None
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
        """A function for each need that loads it, or raises `Missing`.

        Raises:
            ValueError: naming a file that was given and is not there.
        """
        for name, path in vars(self).items():
            fits = {"codes": Path.is_dir, "perceptual_net": Path.exists}.get(name, Path.is_file)
            if isinstance(path, Path) and not fits(path):
                raise ValueError(f"{path}: no such file; expected the one of --{name.replace('_', '-')}")
        inception = _built_in("inception", self.inception)
        facenet, arcface = _built_in("facenet", self.facenet), _built_in("arcface", self.arcface)
        if self.identity_net:
            facenet = arcface = functools.cache(self._identity_network)
        return {
            "inception": inception,
            "recognition": arcface,
            "neighbours": inception if self.features == "inception" else facenet,
            "landmarks": self._landmark_network if self.landmark_net else _built_in("awing", self.awing),
            "lpips_vgg": _built_in("lpips-vgg", self.lpips_vgg),
            "lpips_alex": _built_in("lpips-alex", self.lpips_alex),
            "perceptual": self._perceptual_network,
            "codes": self._code_network,
            "niqe_statistics": lambda: load_niqe_statistics(
                _given(self.niqe_statistics, "needs the statistics of pristine photographs; add --niqe-statistics")
            ),
            "fid_statistics": lambda: read_fid_statistics(
                _given(self.fid_statistics, "needs the statistics of a data set's features; add --fid-statistics")
            ),
        }

    def _identity_network(self) -> Any:
        from rethink_fr.evaluation.networks import loading

        assert self.identity_net is not None
        return loading.load_onnx_embedder(self.identity_net, self.identity_range, self.identity_crop)

    def _landmark_network(self) -> Any:
        from rethink_fr.evaluation.networks import loading

        assert self.landmark_net is not None
        return loading.load_onnx_landmarks(self.landmark_net, self.landmark_range, self.landmark_crop)

    def _perceptual_network(self) -> Any:
        if self.perceptual_net is None:
            raise Missing("needs a network; add --perceptual-net FILE.npz, such as one of SqueezeNet 1.0")
        from rethink_fr.evaluation.networks.perceptual_network import PerceptualNet

        return PerceptualNet(self.perceptual_net)

    def _code_network(self) -> Any:
        if self.codes is None:
            raise Missing("needs a codebook; add --codes RUN_DIR, a run of VQFR")
        from rethink_fr.evaluation.networks.codes import CodeNetwork

        return CodeNetwork(self.codes)

    def files(self) -> List[Path]:
        """Every file that may be read: those given, those of the run, and the weights in the user's cache."""
        given = [path for path in vars(self).values() if isinstance(path, Path)]
        cached = [file.path for known in KNOWN_WEIGHTS.values() for file in known.files]
        return [*given, *(file for folder in given for file in folder.rglob("*")), *cached]

    def statistics(self) -> Dict[str, Dict[str, str]]:
        """File and SHA-256 of the statistics that were given, for a report."""
        given: Dict[str, Optional[Path]] = {name: getattr(self, name) for name in get_args(Statistics)}
        return {name: {"file": str(path), "sha256": file_sha256(path)} for name, path in given.items() if path}


def load_needs(names: Iterable[str], loaders: Loaders) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """Load these needs.

    Returns:
        Those that could be loaded, by name; and for each of the others what the user can do about it.

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


def _built_in(name: str, path: Optional[Path]) -> Callable[[], Any]:
    """A function that loads a network with published weights, once: one network may serve several needs."""

    @functools.cache
    def loaded() -> Any:
        # This is looked up before anything is imported: the networks need TensorFlow, which takes seconds to load.
        if path is None and not all(file.path.is_file() for file in KNOWN_WEIGHTS[name].files):
            raise Missing(
                f"the weights of {name} are not there; run `rethink-fr weights fetch {name}`, or add --{name} FILE"
            )
        from rethink_fr.evaluation.networks import loading

        return loading.load_published(name, path)

    return loaded


def _given(path: Optional[Path], otherwise: str) -> Path:
    if path is None:
        raise Missing(f"{otherwise} FILE.npz")
    return path
