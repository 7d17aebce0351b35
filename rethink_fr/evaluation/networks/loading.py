"""Loads networks from files that were given, or from the user's cache. Nothing is fetched here."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar, Union

import numpy as np

from rethink_fr.evaluation.networks.arcface import ArcFace
from rethink_fr.evaluation.networks.awing import AWing
from rethink_fr.evaluation.networks.crops import Box
from rethink_fr.evaluation.networks.facenet import FaceNet
from rethink_fr.evaluation.networks.inception import InceptionV3
from rethink_fr.evaluation.networks.lpips_backbones import BACKBONES, Backbone, LpipsNetwork
from rethink_fr.evaluation.networks.onnx_network import (
    LandmarkUnit,
    OnnxEmbedder,
    OnnxLandmarks,
    ValueRange,
)
from rethink_fr.evaluation.networks.picture_network import PictureNetwork
from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_bytes
from rethink_fr.weights.known import KNOWN_WEIGHTS, WeightFile, checked_sha256
from rethink_fr.weights.onnx_session import MAX_ONNX_BYTES
from rethink_fr.weights.state_dicts import TorchStateError
from rethink_fr.weights.torch_files import read_weights

PathLike = Union[str, Path]
Network = TypeVar("Network")

_PICTURE_NETWORKS: Dict[str, Type[PictureNetwork]] = {
    "inception": InceptionV3,
    "facenet": FaceNet,
    "arcface": ArcFace,
    "awing": AWing,
}
_LPIPS: Dict[str, Backbone] = {f"lpips-{backbone}": backbone for backbone in BACKBONES}
_SECTIONS = ("state_dict", "params_ema", "params")  # under which the weights may be in a published file


class MissingWeights(ValueError):  # noqa: N818 (a state, not a fault)
    """Weights that are not there; the message says what to do. Not for files that are there and cannot be used."""


def load_published(
    name: str, path: Optional[PathLike] = None, heads: Optional[PathLike] = None
) -> Union[PictureNetwork, LpipsNetwork]:
    """A network with published weights.

        embed = load_published("arcface")  # after `rethink-fr weights fetch arcface`
        embeddings = embed(pictures)  # uint8 [B, H, W, 3] -> float32 [B, 512]

    Args:
        name: "inception", "facenet", "arcface" or "awing"; or, for LPIPS, "lpips-vgg", "lpips-alex" or
            "lpips-squeeze".
        path: of the weights: the published file, or an `.npz` with the same names; None: the file in the user's cache.
        heads: of LPIPS' own weights, `vgg.pth` and so on in its repository. None: the file that has the name of the
            one in the cache and lies beside `path`, if there is one; else the one in the cache.

    Raises:
        MissingWeights: if a file is not there.
        ValueError: if a file is something else, or there is no network of that name.
    """
    if name in _PICTURE_NETWORKS:
        (only,) = KNOWN_WEIGHTS[name].files
        file = _read(name, only, path)
        return _fitted([file], lambda: _PICTURE_NETWORKS[name](file.state, file.sha256))
    if name not in _LPIPS:
        raise ValueError(f"network {name!r}; expected {', '.join([*_PICTURE_NETWORKS, *_LPIPS])}")
    own, known_heads = KNOWN_WEIGHTS[name].files
    if heads is None and path is not None and (Path(path).parent / known_heads.name).is_file():
        heads = Path(path).parent / known_heads.name
    files = [_read(name, one, given) for one, given in ((own, path), (known_heads, heads))]
    both = hashlib.sha256("".join(one.sha256 for one in files).encode("ascii")).hexdigest()
    return _fitted(files, lambda: LpipsNetwork(_LPIPS[name], files[0].state, files[1].state, both))


def load_onnx_embedder(
    path: PathLike, value_range: Optional[ValueRange] = None, crop: Optional[Box] = None
) -> OnnxEmbedder:
    """The network of an ONNX file that turns a face into a vector; see `OnnxEmbedder`.

    Raises:
        MissingWeights: if there is no such file.
        ValueError: if it cannot be used, or onnxruntime is not installed.
    """
    return OnnxEmbedder(*_onnx(path), value_range, crop)


def load_onnx_landmarks(
    path: PathLike,
    value_range: Optional[ValueRange] = None,
    crop: Optional[Box] = None,
    unit: LandmarkUnit = "fraction",
) -> OnnxLandmarks:
    """The network of an ONNX file that finds landmarks; see `OnnxLandmarks`. Raises as `load_onnx_embedder`."""
    return OnnxLandmarks(*_onnx(path), value_range, crop, unit)


class _ReadFile(NamedTuple):
    path: Path
    sha256: str
    state: Dict[str, np.ndarray]


def _read(name: str, file: WeightFile, given: Optional[PathLike]) -> _ReadFile:
    path = file.path if given is None else Path(given)
    if not path.is_file():
        if given is not None:
            raise MissingWeights(f"{printable(path)}: no such file; expected the weights of {name}")
        raise MissingWeights(
            f"{name}: its weights are not there; run `rethink-fr weights fetch {name}`, or give their file: "
            f"--{name} FILE"
        )
    sha256 = checked_sha256(name, file, None if given is None else path)
    return _ReadFile(path, sha256, read_weights(path, _SECTIONS))


def _fitted(files: Sequence[_ReadFile], build: Callable[[], Network]) -> Network:
    """The network; weights that do not fit are a mistake in these files."""
    try:
        return build()
    except TorchStateError as error:
        raise ValueError(f"{' and '.join(str(file.path) for file in files)}: {error}") from None


def _onnx(path: PathLike) -> Tuple[str, bytes, str]:
    """The name, bytes and SHA-256 of a file."""
    if not Path(path).is_file():
        raise MissingWeights(f"{printable(path)}: no such file; expected an ONNX network")
    model = read_bytes(path, MAX_ONNX_BYTES)
    return Path(path).name, model, hashlib.sha256(model).hexdigest()
