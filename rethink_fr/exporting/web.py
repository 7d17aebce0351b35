"""A restorer as a page for browsers: static files that any web server can give, which restore on the visitor's machine.

The page is ours (`page/`), the network is an ONNX file, and onnxruntime-web runs it. Nothing is asked of another host.
"""

from __future__ import annotations

import json
import zlib
from importlib import resources
from pathlib import Path
from typing import Dict, List

import numpy as np
import numpy.typing as npt

from rethink_fr.exporting.card import CARD, LICENCE, licence_text
from rethink_fr.exporting.web_runtime import RUNTIME_PARTS, VERSION, WASM
from rethink_fr.pictures.files import encode_png
from rethink_fr.system import Inference

ENTRY = "index.html"
_MODEL, _SETTINGS, _EXAMPLE = "model.onnx", "model.json", "example.png"
_OWN = (
    "_headers",
    "doubt.js",
    "icon.svg",
    ENTRY,
    "noise.js",
    "onnxruntime-license.txt",
    "page.css",
    "page.js",
    "pictures.js",
    "worker.js",
)
PAGE_PARTS = (*_OWN, *RUNTIME_PARTS, _MODEL, _SETTINGS, _EXAMPLE, CARD, LICENCE)


def write_page(
    inference: Inference,
    onnx: bytes,
    runtime: Dict[str, bytes],
    card: str,
    example: npt.NDArray[np.uint8],
    folder: Path,
) -> List[str]:
    """Write the files of the page.

    Args:
        inference: of the network that `onnx` holds, see `portable`.
        onnx: the ONNX file.
        runtime: of onnxruntime-web, see `web_runtime.runtime_files`.
        card: of the model, which the page shows.
        example: a degraded drawn face that visitors can try, uint8 `[R, R, 3]`.
        folder: to write to.

    Returns:
        Notes on what visitors download.
    """
    files = {name: resources.files("rethink_fr.exporting").joinpath("page", name).read_bytes() for name in _OWN}
    files.update(runtime)
    files[_MODEL], files[_EXAMPLE] = onnx, encode_png(example)
    files[CARD], files[LICENCE] = card.encode(), licence_text().encode()
    settings = {
        "side": inference.resolution,
        "control": inference.control,
        "control_shape": inference.control_shape[1:],
        "stochastic": inference.stochastic,
        "files": {name: len(files[name]) for name in (WASM, _MODEL)},  # those that take long to load, and how long
    }
    files[_SETTINGS] = json.dumps(settings, indent=1).encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    size, compressed = (sum(map(measure, files.values())) / 1e6 for measure in (len, _compressed))
    return [
        f"run by onnxruntime-web {VERSION}",
        f"visitors download {size:.1f} MB, or {compressed:.1f} MB from a server that compresses by gzip",
    ]


def _compressed(data: bytes) -> int:
    return len(zlib.compress(data, 6))
