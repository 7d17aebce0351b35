"""Prepares uint8 pictures for a network: cuts a box out of them and resizes it. NumPy only."""

from __future__ import annotations

from typing import Callable, Tuple

import numpy as np

# Left, top, right, bottom as fractions of the picture's width and height. Outside the picture its border is repeated.
Box = Tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

_BATCH = 8  # pictures at a time: enough for full speed on a processor, and little memory
# ITU-R BT.601 in 14 bits, as common image libraries turn RGB into grey.
_GREY = np.array([4899, 9617, 1868], np.int64)
_GREY_BITS = 14


def check_pictures(images: np.ndarray, network: str) -> np.ndarray:
    """`images` as an array; checks that they are uint8 `[B, H, W, 3]` with at least one pixel.

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
    """`box`; checks that its edges are finite and in the right order.

    Raises:
        ValueError: if they are not.
    """
    left, top, right, bottom = box
    if not (np.all(np.isfinite(box)) and left < right and top < bottom):
        raise ValueError(f"crop {box}; expected left, top, right, bottom with left < right and top < bottom")
    return box


def parse_box(text: str) -> Box:
    """Read a box that is written as `left,top,right,bottom`, such as `0.1,0.1,0.9,0.9`.

    Raises:
        ValueError: if it is something else, or the box is empty.
    """
    try:
        left, top, right, bottom = (float(edge) for edge in text.split(","))
    except ValueError:
        raise ValueError(f"crop {text!r}; expected four numbers: left,top,right,bottom") from None
    return check_box((left, top, right, bottom))


def resample(images: np.ndarray, box: Box, rows: int, columns: int) -> np.ndarray:
    """Cut a box out of each picture and resize it bilinearly, without smoothing first.

    Pixel centres lie at half-integers, as in torch's `align_corners=False` and OpenCV's INTER_LINEAR.

    Args:
        images: `[B, H, W, C]` of any real type.
        box: which part; outside the picture its border is repeated.
        rows, columns: size of the result.

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
    """Cut a box out of each picture and reduce it: each new pixel is the mean of the area that it covers.

    This is OpenCV's INTER_AREA. As there, a box that would be enlarged in either direction is resized bilinearly
    instead. Arguments and result are those of `resample`.
    """
    left, top, right, bottom = box
    if (bottom - top) * images.shape[1] < rows or (right - left) * images.shape[2] < columns:
        return resample(images, box, rows, columns)
    down = _coverage(images.shape[1], top, bottom, rows)
    across = _coverage(images.shape[2], left, right, columns)
    bands = np.tensordot(images.astype(np.float32), down, axes=(1, 1))  # [B, W, C, rows]
    return np.tensordot(bands, across, axes=(1, 1)).transpose(0, 2, 3, 1)


def in_picture(points: np.ndarray, box: Box, images: np.ndarray) -> np.ndarray:
    """Points (x, y) `[B, L, 2]` as fractions of a box, in pixels of the pictures `[B, H, W, C]`; float32."""
    left, top, right, bottom = box
    height, width = images.shape[1:3]
    return ((points * (right - left, bottom - top) + (left, top)) * (width, height)).astype(np.float32)


def grey(images: np.ndarray) -> np.ndarray:
    """Luma 0.299 R + 0.587 G + 0.114 B, rounded half up: from uint8 `[B, H, W, 3]` to uint8 `[B, H, W, 1]`."""
    luma = (images.astype(np.int64) @ _GREY + (1 << (_GREY_BITS - 1))) >> _GREY_BITS
    return luma[..., None].astype(np.uint8)


def round_levels(values: np.ndarray) -> np.ndarray:
    """Levels 0..255 rounded half up, as image libraries do that resize in 8 bits; they stay float32."""
    return np.floor(values + 0.5)


def in_batches(function: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Apply a function to a few pictures at a time, and join the results; no pictures give an array `[0, ...]`."""
    if not len(images):
        # TensorFlow's convolutions fail on an empty batch, so a black picture tells the shape.
        return np.asarray(function(np.zeros((1, *images.shape[1:]), images.dtype)))[:0]
    starts = range(0, len(images), _BATCH)
    return np.concatenate([np.asarray(function(images[start : start + _BATCH])) for start in starts])


def _neighbours(length: int, low: float, high: float, count: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `count` new centres: the two pixels beside it, and how far it is towards the second, 0..1."""
    centres = (low + (np.arange(count) + 0.5) * (high - low) / count) * length - 0.5
    centres = np.clip(centres, 0.0, length - 1.0)
    first = np.floor(centres).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), (centres - first).astype(np.float32)


def _coverage(length: int, low: float, high: float, count: int) -> np.ndarray:
    """The share that each of `length` pixels has in each of `count` new ones, `[count, length]`; rows sum to 1."""
    edges = np.linspace(low * length, high * length, count + 1)
    pixels = np.arange(int(np.floor(edges[0])), int(np.ceil(edges[-1])))
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.zeros((count, length))
    for pixel, share in zip(np.clip(pixels, 0, length - 1), np.maximum(shared, 0.0).T):
        weights[:, pixel] += share
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
