"""Bytes of image files, which may be hostile, to upright uint8 RGB arrays, within limits of memory and time.

Only the formats of `FORMATS` are tried, whatever a file is called. What a header announces is held against the limit
on pixels before anything is decoded, and pictures that are decoded at the same time share that limit. Imports no
TensorFlow.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import Callable, Dict, Iterator, NamedTuple, Optional

import numpy as np
from PIL import Image

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")  # those of IMAGE_SUFFIXES; Pillow must try no other

_VARIABLE = "RETHINK_FR_MAX_PIXELS"
# Decoding takes up to 24 bytes a pixel (16-bit RGBA in one TIFF strip, WebP): 1.6 GB for the largest picture.
_DEFAULT_MAX_PIXELS = 1 << 26
_BAND_PIXELS = 1 << 20  # converted to RGB at a time
_MAX_SCANS = 16  # of a progressive JPEG of the largest size: each goes over all pixels; encoders write about ten

_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
# The arrays in a TIFF of where its strips and tiles are and how long; and how many of them are believed.
_TIFF_ARRAYS, _MAX_TIFF_ARRAY = (273, 279, 324, 325), 1 << 18
_EXIF_ORIENTATION = 0x0112
# What undoes each EXIF orientation (Exif 2.32, tag 0x0112); 1 is upright.
_UPRIGHT: Dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


class UnreadableImage(UnreadableFile):
    """An image that cannot be used. `name` says which, `reason` why, in a few words."""


class Decoded(NamedTuple):
    """An image, and the size it has in its file."""

    image: np.ndarray  # uint8 [H, W, 3]
    width: int  # upright, before any reduction
    height: int


def max_pixels() -> int:
    """The most pixels that a picture may have: the environment variable RETHINK_FR_MAX_PIXELS, or 67,108,864.

    Raises:
        ValueError: if the variable is no whole number above 0.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return _DEFAULT_MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{_VARIABLE}: expected a whole number above 0, got {printable(text)!r}")
    return int(text)


def decode(data: bytes, name: str, at_least: Optional[int] = None) -> Decoded:
    """Bytes of an image file as RGB, see `image_files.decode_image`.

    Args:
        data: contents of the file.
        name: of the file, for errors.
        at_least: if the shorter side needs to have this many pixels only, a JPEG of more than `max_pixels()` is
            decoded at a half, a quarter or an eighth of its size. Smaller ones, and other formats, never are.

    Raises:
        UnreadableImage: for anything that does not decode completely, naming `name` and the reason.
        ValueError: see `max_pixels`.
    """
    limit = max_pixels()
    if not data:
        raise UnreadableImage(name, "the file is empty")
    try:
        _check_arrays(data)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if at_least is not None:
                _reduce(image, at_least, limit)
            reduced = image.size != (width, height)
            pixels = _checked_pixels(image, data, width * height, limit)
            with _budget.hold(pixels, limit):
                image.load()  # TIFF applies its orientation here, so that it is not seen again below
                orientation = _orientation(image)
                rgb = _upright(_rgb(image), orientation)
    except _RefusedError as error:
        raise UnreadableImage(name, str(error)) from None
    except Image.UnidentifiedImageError:
        raise UnreadableImage(name, f"not an image in a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, "its header announces more pixels than Pillow accepts; scale it down") from None
    except MemoryError:
        raise UnreadableImage(name, "decoding it takes more memory than there is; scale it down") from None
    except Exception as error:  # Decoders of hostile files raise nearly anything: SyntaxError, struct.error, IndexError
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise UnreadableImage(name, f"damaged or truncated ({reason})") from error
    if not reduced:
        height, width = rgb.shape[:2]
    elif orientation is not None and orientation >= 5:
        width, height = height, width
    return Decoded(rgb, width, height)


class _RefusedError(Exception):
    """Why a picture is not decoded, in a few words."""


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


def _reduce(image: Image.Image, at_least: int, limit: int) -> None:
    """Have a JPEG of more than `limit` pixels decoded at the largest reduced size that keeps to it."""
    width, height = image.size
    for divisor in (2, 4, 8):
        if image.format not in ("JPEG", "MPO") or image.size[0] * image.size[1] <= limit:
            return
        if min(width, height) // divisor >= at_least and (width // divisor) * (height // divisor) <= limit:
            image.draft(None, (width // divisor, height // divisor))


def _checked_pixels(image: Image.Image, data: bytes, announced: int, limit: int) -> int:
    """The pixels that decoding takes memory and time for.

    Raises:
        _RefusedError: if they are too many, or have no agreed range.
    """
    if image.mode == "F":
        raise _RefusedError("floating-point pixels have no agreed range; convert the file to 8 bits")
    pixels = image.size[0] * image.size[1]
    what = ""
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        # All coefficients are held, however small the result.
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
        raise _RefusedError(f"{pixels:,} pixels{what}, expected at most {limit:,}; scale it down, or set {_VARIABLE}")
    return pixels


def _check_arrays(data: bytes) -> None:
    """Refuse a TIFF with arrays of millions of strips, which become Python objects of a hundred bytes each.

    Raises:
        _RefusedError: if there is one.
    """
    if data[:2] not in (b"II", b"MM") or not set(b"*+").intersection(data[2:4]):
        return

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], "little" if data[:2] == b"II" else "big")

    # Of a BigTIFF, as Pillow recognises it: 8 instead of 4 bytes for offsets and counts, 20 instead of 12 an entry.
    word, entry, first = (8, 20, 8) if data[2:3] == b"+" else (4, 12, 2)
    start = number(word, word)
    for at in range(start + first, start + first + number(start, first) * entry, entry):
        if at >= len(data):
            return
        if number(at, 2) in _TIFF_ARRAYS and number(at + 4, word) > _MAX_TIFF_ARRAY:
            raise _RefusedError(f"a TIFF of {number(at + 4, word):,} strips or tiles; save it anew")


def _orientation(image: Image.Image) -> Optional[int]:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # A damaged EXIF block does not make the pixels unusable.
        return None
    return orientation if orientation in _UPRIGHT else None


def _upright(stored: np.ndarray, orientation: Optional[int]) -> np.ndarray:
    return stored if orientation is None else np.ascontiguousarray(_UPRIGHT[orientation](stored))


def _rgb(image: Image.Image) -> np.ndarray:
    """A loaded image as uint8 `[H, W, 3]`, by bands of rows: intermediate forms take several bytes a pixel."""
    width, height = image.size
    result = np.empty([height, width, 3], np.uint8)
    rows = max(1, _BAND_PIXELS // max(1, width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        band = image if rows >= height else image.crop((0, top, width, bottom))
        result[top:bottom] = np.asarray(_band_as_rgb(band))
    return result


def _band_as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise _RefusedError("32-bit pixels have no agreed range; convert the file to 8 bits")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 = 255 * 257
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
