"""From uint8 pictures to what a network wants to see: a box of them, at its size. NumPy only."""

from __future__ import annotations

from typing import Callable, Tuple

import numpy as np

# Left, top, right, bottom as fractions of the picture's width and height; outside of it the border is repeated.
Box = Tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

_BATCH = 8  # pictures at a time: enough for full speed on a processor, and little memory
# ITU-R BT.601 in 14 bits, as common image libraries turn RGB into grey.
_GREY = np.array([4899, 9617, 1868], np.int64)
_GREY_BITS = 14


def check_pictures(images: np.ndarray, network: str) -> np.ndarray:
    """`images` as an array, if they are uint8 `[B, H, W, 3]` with at least one pixel.

    Raises:
        ValueError: naming `network` and what came instead.
    """
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"{network}: pictures of type {array.dtype} and shape {array.shape}; expected uint8 [B, H, W, 3] RGB"
        )
    return array


def check_box(box: Box) -> Box:
    """`box` if its right is right of its left and its bottom below its top.

    Raises:
        ValueError: if not.
    """
    left, top, right, bottom = box
    if not (np.all(np.isfinite(box)) and left < right and top < bottom):
        raise ValueError(f"crop {box}; expected left, top, right, bottom with left < right and top < bottom")
    return box


def parse_box(text: str) -> Box:
    """A box written as `left,top,right,bottom`.

    Raises:
        ValueError: if it is something else, or empty.
    """
    try:
        left, top, right, bottom = (float(edge) for edge in text.split(","))
    except ValueError:
        raise ValueError(f"crop {text!r}; expected four numbers: left,top,right,bottom") from None
    return check_box((left, top, right, bottom))


def resample(images: np.ndarray, box: Box, rows: int, columns: int) -> np.ndarray:
    """The box of each picture at another size, bilinear between the four pixels around, without smoothing first.

    Pixel centres lie at half-integers (torch's `align_corners=False`, OpenCV's INTER_LINEAR); the border is repeated.

    Args:
        images: `[B, H, W, C]`, any real type.
        box: see `Box`.
        rows, columns: of the result.

    Returns:
        float32 `[B, rows, columns, C]` in the values' own range.
    """
    left, top, right, bottom = box
    above, below, down = _neighbours(images.shape[1], top, bottom, rows)
    before, after, across = _neighbours(images.shape[2], left, right, columns)
    # Rows first; only the columns that are needed are ever converted to float.
    bands = [np.take(images, index, axis=1).astype(np.float32) for index in (above, below)]
    band = bands[0] + (bands[1] - bands[0]) * down[:, None, None]
    sides = [np.take(band, index, axis=2) for index in (before, after)]
    return sides[0] + (sides[1] - sides[0]) * across[:, None]


def resample_area(images: np.ndarray, box: Box, rows: int, columns: int) -> np.ndarray:
    """The box of each picture at a smaller size: each new pixel is the mean of the area that it covers.

    OpenCV's INTER_AREA. As there, a box that is enlarged in either direction is resampled bilinearly instead.
    Arguments and result as in `resample`.
    """
    left, top, right, bottom = box
    if (bottom - top) * images.shape[1] < rows or (right - left) * images.shape[2] < columns:
        return resample(images, box, rows, columns)
    down = _coverage(images.shape[1], top, bottom, rows)
    across = _coverage(images.shape[2], left, right, columns)
    bands = np.tensordot(images.astype(np.float32), down, axes=(1, 1))  # [B, W, C, rows]
    return np.tensordot(bands, across, axes=(1, 1)).transpose(0, 2, 3, 1)


def grey(images: np.ndarray) -> np.ndarray:
    """uint8 RGB `[B, H, W, 3]` to uint8 luma `[B, H, W, 1]`, 0.299 R + 0.587 G + 0.114 B, rounded half up."""
    luma = (images.astype(np.int64) @ _GREY + (1 << (_GREY_BITS - 1))) >> _GREY_BITS
    return luma[..., None].astype(np.uint8)


def round_levels(values: np.ndarray) -> np.ndarray:
    """Levels 0..255 rounded half up, still float32: what an 8-bit resize of an image library gives."""
    return np.floor(values + 0.5)


def in_batches(function: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """`function` of a few pictures at a time, the results in one array; `[0, ...]` for no pictures."""
    if not len(images):
        # TensorFlow's convolutions fail on an empty batch: the shape comes from a black picture.
        return np.asarray(function(np.zeros((1, *images.shape[1:]), images.dtype)))[:0]
    starts = range(0, len(images), _BATCH)
    return np.concatenate([np.asarray(function(images[start : start + _BATCH])) for start in starts])


def _neighbours(length: int, low: float, high: float, count: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels on either side of each of `count` new centres, and how far towards the second, 0..1."""
    centres = (low + (np.arange(count) + 0.5) * (high - low) / count) * length - 0.5
    centres = np.clip(centres, 0.0, length - 1.0)
    first = np.floor(centres).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), (centres - first).astype(np.float32)


def _coverage(length: int, low: float, high: float, count: int) -> np.ndarray:
    """How much of each of `count` new pixels each of `length` pixels makes up, `[count, length]`; rows sum to 1."""
    edges = np.linspace(low * length, high * length, count + 1)
    pixels = np.arange(int(np.floor(edges[0])), int(np.ceil(edges[-1])))
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.zeros((count, length))
    for pixel, share in zip(np.clip(pixels, 0, length - 1), np.maximum(shared, 0.0).T):
        weights[:, pixel] += share
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
