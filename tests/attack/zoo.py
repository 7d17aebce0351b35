"""A folder with everything that may be called .png."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import zlib
from pathlib import Path
from typing import Dict, List, NamedTuple

import numpy as np
from PIL import Image

_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(bad) print\nshowpage\n"


class Zoo(NamedTuple):
    """Pictures that can be read, and what cannot, by names relative to the folder."""

    folder: Path
    good: List[str]
    bad: List[str]


def png(width: int, height: int, rows: int) -> bytes:
    """A 16-bit grey PNG that announces a size, with so many black rows in it."""
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 2 * width)) for _ in range(rows)) + packer.flush()
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def make_zoo(folder: Path) -> Zoo:
    """Make it, as far as the file system and the user's rights allow."""
    folder.mkdir()
    good = [
        "a.png",
        "n" * 246 + ".png",  # 250 bytes
        os.fsdecode(b"caf\xe9.png"),
        "new\nline <script>alert(1)</script>.png".replace("/", "_"),
        "folder.png/inner.png",
    ]
    generator = np.random.default_rng(0)
    for name in good:
        (folder / name).parent.mkdir(exist_ok=True)
        pixels = generator.integers(0, 256, [40, 40, 3], np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "folder.png/loop").symlink_to("..")
    data: Dict[str, bytes] = {
        "empty.png": b"",
        "text.jpg": b"not a picture",
        "script.png": _EPS,
        "bomb.png": png(13_000, 13_000, 1),
        "half.png": (folder / "a.png").read_bytes()[:900],
    }
    for name, content in data.items():
        (folder / name).write_bytes(content)
    bad = list(data)
    (folder / "self.png").symlink_to("self.png")
    (folder / "nowhere.png").symlink_to("nothing")
    bad += ["self.png", "nowhere.png"]
    os.mkfifo(folder / "pipe.png")
    bad.append("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path is short
        server.bind("socket.png")
        os.chdir(here)
    bad.append("socket.png")
    with contextlib.suppress(OSError):  # devices: for root only
        os.mknod(folder / "zeros.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        bad.append("zeros.png")
    with contextlib.suppress(OSError):  # not every file system has files with holes
        with open(folder / "sparse.png", "wb") as file:
            file.truncate(200 << 30)
        bad.append("sparse.png")
    return Zoo(folder, good, bad)
