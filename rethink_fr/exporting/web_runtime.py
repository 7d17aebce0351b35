"""onnxruntime-web, which runs ONNX files in browsers: one pinned package of npm, and what a page needs of it.

It is fetched once into the user's cache, and not into the repository. A file that is not the pinned one is never used.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Dict

from rethink_fr.exporting.comparison import ExportError
from rethink_fr.files.cache import cache_directory, make_cache_folder
from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.names import printable
from rethink_fr.weights.download import DownloadError, download

VERSION = "1.30.0"
URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
# Of the package whose integrity npm's registry states as sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4
# rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"

WASM = "ort-wasm-simd-threaded.wasm"  # for one thread, too
# Names in the package, and in the page's folder: not every web server knows what .mjs is, and browsers run no script
# that is not served as one.
_FILES = {
    "ort.wasm.min.mjs": "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    WASM: WASM,
}
RUNTIME_PARTS = tuple(_FILES.values())


def runtime_files(progress: bool = True) -> Dict[str, bytes]:
    """The three files of onnxruntime-web that a page needs, by their names in its folder.

    Args:
        progress: show a bar on stderr if fetching the package takes longer than two seconds.

    Raises:
        ExportError: if it cannot be fetched, or is not the pinned one. The message says what to do.
    """
    path = runtime_package()
    try:
        if not path.is_file() or file_sha256(path) != SHA256:
            make_cache_folder(path.parent)
            download(URL, path, SHA256, progress)
    except DownloadError as error:
        raise ExportError(f"{error}; `npm pack onnxruntime-web@{VERSION}` makes the same file") from None
    try:
        with tarfile.open(path) as package:
            members = {name: package.extractfile(f"package/dist/{name}") for name in _FILES}
            return {_FILES[name]: member.read() for name, member in members.items() if member is not None}
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ExportError(f"{printable(path)}: not the package onnxruntime-web ({error}); remove it") from None


def runtime_package() -> Path:
    """Where the package is kept in the user's cache."""
    return cache_directory() / "web" / f"onnxruntime-web-{VERSION}.tgz"
