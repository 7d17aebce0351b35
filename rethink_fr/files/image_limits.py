"""What decoding an image file would take, told from its header and refused if it is too much.

A file of a few kilobytes can announce a picture of gigabytes. What its header says is held against a limit on pixels
before anything is decoded, and pictures that several threads decode at the same time share that limit.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, ContextManager, Iterator

from rethink_fr.files.names import printable

if TYPE_CHECKING:
    from PIL import Image

_VARIABLE = "RETHINK_FR_MAX_PIXELS"
# Decoding takes up to 24 bytes a pixel (16-bit RGBA in one TIFF strip, WebP): 1.6 GB for the largest picture.
_DEFAULT_MAX_PIXELS = 1 << 26
_MAX_SCANS = 16  # of a progressive JPEG of the largest size: each goes over all pixels; encoders write about ten

_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
# The arrays in a TIFF of where its strips and tiles are and how long; and how many of them are believed.
_TIFF_ARRAYS, _MAX_TIFF_ARRAY = (273, 279, 324, 325), 1 << 18


class RefusedImage(Exception):  # noqa: N818 (reads as what happened)
    """A picture that is not decoded; the message says why in a few words, and does not name the file."""


def max_pixels() -> int:
    """The most pixels that a picture may have: the environment variable RETHINK_FR_MAX_PIXELS, or 67,108,864.

    Raises:
        ValueError: if the variable is not a whole number above 0.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return _DEFAULT_MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{_VARIABLE}: expected a whole number above 0, got {printable(text)!r}")
    return int(text)


def photo_limit(image: Image.Image) -> int:
    """The most pixels that this whole photo may have: `max_pixels`, or twice as many if the user did not set it and
    decoding takes 4 bytes a pixel, as it does for photos of digital cameras.

    Raises:
        ValueError: as `max_pixels`.
    """
    limit = max_pixels()
    plain = image.format in ("JPEG", "MPO", "PNG") and not image.info.get("progressive")
    return 2 * limit if plain and not os.environ.get(_VARIABLE) else limit


def room_to_decode(image: Image.Image, data: bytes, announced: int, limit: int) -> ContextManager[None]:
    """Wait until this picture may be decoded beside those that other threads decode; decode it within the block.

    Args:
        image: opened by Pillow and not loaded, at the (perhaps reduced) size at which it will be decoded.
        data: the whole file.
        announced: the number of pixels at full size.
        limit: the most pixels that all pictures of the process together may have while they are decoded.

    Raises:
        RefusedImage: if this picture alone has more.
    """
    return _budget.hold(_costly_pixels(image, data, announced, limit), limit)


def check_tiff_arrays(data: bytes) -> None:
    """Refuse a TIFF of millions of strips: Pillow makes a Python object of each as soon as it opens the file.

    Files of other formats pass.

    Raises:
        RefusedImage: if there is such an array.
    """
    if data[:2] not in (b"II", b"MM") or not set(b"*+").intersection(data[2:4]):
        return

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], "little" if data[:2] == b"II" else "big")

    # A BigTIFF, as Pillow recognises it, has 8 instead of 4 bytes for offsets and counts, 20 instead of 12 an entry.
    word, entry, first = (8, 20, 8) if data[2:3] == b"+" else (4, 12, 2)
    start = number(word, word)
    for at in range(start + first, start + first + number(start, first) * entry, entry):
        if at >= len(data):
            return
        if number(at, 2) in _TIFF_ARRAYS and number(at + 4, word) > _MAX_TIFF_ARRAY:
            raise RefusedImage(f"a TIFF of {number(at + 4, word):,} strips or tiles; save it anew")


class _Budget:
    """Lets pictures be decoded at the same time as long as all of them together keep to a limit of pixels."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0

    @contextlib.contextmanager
    def hold(self, pixels: int, limit: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + pixels <= limit)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


_budget = _Budget()


def _costly_pixels(image: Image.Image, data: bytes, announced: int, limit: int) -> int:
    """How many pixels of an ordinary picture take as much memory and time to decode as this one.

    Raises:
        RefusedImage: if they are too many.
    """
    pixels = image.size[0] * image.size[1]
    what = ""
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        # All coefficients are held in memory, however small the result.
        pixels = max(announced, announced * data.count(b"\xff\xda") // _MAX_SCANS)
        what = " and scans" if pixels > announced else " of a progressive JPEG"
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0)
        if tile > pixels:
            pixels, what = tile, " in each tile"
    elif image.format == "BMP" and any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ())):
        pixels *= 16  # decoded in Python: a run may be of one pixel, and takes a microsecond
        what = " (16 times those of its size, for its compression)"
    if pixels > limit:
        raise RefusedImage(f"{pixels:,} pixels{what}, expected at most {limit:,}; scale it down, or set {_VARIABLE}")
    return pixels
