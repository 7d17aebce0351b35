"""Feature networks with their weights: from a file that is given, else from the user's cache. Nothing is fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

import numpy as np

from rethink_fr.evaluation.networks.arcface import ArcFace
from rethink_fr.evaluation.networks.awing import AWing
from rethink_fr.evaluation.networks.crops import Box
from rethink_fr.evaluation.networks.facenet import FaceNet
from rethink_fr.evaluation.networks.inception import InceptionV3
from rethink_fr.evaluation.networks.interface import Embedder, LandmarkNetwork, NamedPerceptualNetwork
from rethink_fr.evaluation.networks.lpips_backbones import Backbone, LpipsNetwork
from rethink_fr.evaluation.networks.onnx_network import (
    MAX_ONNX_BYTES,
    LandmarkUnit,
    OnnxEmbedder,
    OnnxLandmarks,
    ValueRange,
)
from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_bytes
from rethink_fr.weights.known import KNOWN_WEIGHTS, WeightFile, checked_sha256
from rethink_fr.weights.state_dicts import TorchStateError
from rethink_fr.weights.torch_files import read_weights

PathLike = Union[str, Path]
Network = TypeVar("Network")

_SECTIONS = ("state_dict", "params_ema", "params")


class MissingWeights(ValueError):  # noqa: N818 (a state, not a fault)
    """Weights that are not there; the message says what to do. Not for files that are there and cannot be used."""


def load_inception(path: Optional[PathLike] = None) -> Embedder:
    """Inception V3 of the FID. See `features.inception`.

    Args:
        path: of pytorch-fid's weights, `.pth`, or `.npz` with the same names; None: the user's cache.

    Raises:
        MissingWeights: if there are none.
        ValueError: if the file is something else.
    """
    return _loaded("inception", path, InceptionV3)


def load_facenet(path: Optional[PathLike] = None) -> Embedder:
    """FaceNet, trained on VGGFace2. See `features.facenet`; arguments and errors as for `load_inception`."""
    return _loaded("facenet", path, FaceNet)


def load_arcface(path: Optional[PathLike] = None) -> Embedder:
    """ArcFace with ResNet-18. See `features.arcface`; arguments and errors as for `load_inception`."""
    return _loaded("arcface", path, ArcFace)


def load_awing(path: Optional[PathLike] = None) -> LandmarkNetwork:
    """AWing's 98 landmarks. See `features.awing`; arguments and errors as for `load_inception`."""
    return _loaded("awing", path, AWing)


def load_lpips(
    backbone: Backbone, path: Optional[PathLike] = None, heads: Optional[PathLike] = None
) -> NamedPerceptualNetwork:
    """LPIPS v0.1 with one of its backbones. See `features.lpips_backbones`.

    Args:
        backbone: "vgg", "alex" or "squeeze".
        path: of torchvision's weights; None: the user's cache.
        heads: of LPIPS' own weights (`vgg.pth` and so on of its repository). None: a file of the name it has in the
            cache, beside `path` if that is given, else in the cache.

    Raises:
        MissingWeights: if either is not there.
        ValueError: if a file is something else.
    """
    name = f"lpips-{backbone}"
    if name not in KNOWN_WEIGHTS:
        raise ValueError(f"backbone {backbone!r}; expected vgg, alex or squeeze")
    own, known_heads = KNOWN_WEIGHTS[name].files
    if heads is None and path is not None and (Path(path).parent / known_heads.name).is_file():
        heads = Path(path).parent / known_heads.name
    files = [_read(name, file, given) for file, given in ((own, path), (known_heads, heads))]
    both = hashlib.sha256("".join(file.sha256 for file in files).encode("ascii")).hexdigest()
    return _fitted(files, lambda: LpipsNetwork(backbone, files[0].state, files[1].state, both))


def load_onnx_embedder(
    path: PathLike, value_range: Optional[ValueRange] = None, crop: Optional[Box] = None
) -> Embedder:
    """Any ONNX file that turns a face into a vector. See `features.onnx_network`.

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
) -> LandmarkNetwork:
    """Any ONNX file that finds landmarks. See `features.onnx_network`; errors as for `load_onnx_embedder`."""
    return OnnxLandmarks(*_onnx(path), value_range, crop, unit)


class _ReadFile(NamedTuple):
    path: Path
    sha256: str
    state: Dict[str, np.ndarray]


def _loaded(name: str, path: Optional[PathLike], network: Callable[[Dict[str, np.ndarray], str], Network]) -> Network:
    (file,) = KNOWN_WEIGHTS[name].files
    read = _read(name, file, path)
    return _fitted([read], lambda: network(read.state, read.sha256))


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
    try:
        return build()
    except TorchStateError as error:
        raise ValueError(f"{' and '.join(str(file.path) for file in files)}: {error}") from None


def _onnx(path: PathLike) -> Tuple[str, bytes, str]:
    """Name, bytes and checksum of a file."""
    if not Path(path).is_file():
        raise MissingWeights(f"{printable(path)}: no such file; expected an ONNX network")
    model = read_bytes(path, MAX_ONNX_BYTES)
    return Path(path).name, model, hashlib.sha256(model).hexdigest()
