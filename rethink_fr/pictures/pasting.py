"""Puts restored faces back into a picture, without a seam and without loss.

What is pasted is the change that restoring made to the aligned square, under a feathered mask; so a square that was not
changed leaves the picture as it is, to the byte. What is computed in float is never larger than a face or a tile of it.
"""

from __future__ import annotations

import functools
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rethink_fr.addons import distance_to_edge, warp
from rethink_fr.pictures.files import over_white
from rethink_fr.pictures.geometry import Box, Matrix, in_part, in_square, mapped, reached, scale_of

_TILE = 1024  # px: side of what is pasted at a time
_SMOOTHEST = 4  # times that a square is enlarged by bicubic interpolation; what is left is done bilinearly
_UNCHANGED = 3.0  # levels: where restoring changed less, the picture keeps what the square could not hold
_BLUR = 1 / 56  # of the square's side: over which changes are averaged for it
_FAR = 1e-6  # nearness to the face, at the least, so that shares can be divided by their sum
_CHANGE, _CUT, _KEPT = slice(0, 3), slice(3, 6), slice(6, 7)  # layers of a patch
_MARGIN = 3  # pixels of the layers around what a box shows: bicubic interpolation looks two further


def feathered_mask(side: int, margin: float = 0.05, feather: float = 0.1) -> NDArray[np.float32]:
    """Weights of an aligned square when it is pasted: 0 at its margin, 1 in its middle, a smooth rise between.

    Args:
        side: of the square, in pixels.
        margin: width of the border that is not pasted at all, in parts of `side`.
        feather: width of the rise, in parts of `side`.

    Returns:
        float32 `[side, side]`, 0 to 1.
    """
    border = max(1, round(margin * side))
    half = side / 2 - border  # a square with round corners, in which other people and the background are
    across = np.abs(np.arange(side) + 0.5 - side / 2) / half
    inside = across[:, None] ** 4 + across**4 <= 1.0
    rise = np.clip(distance_to_edge(inside) / max(1.0, feather * side), 0.0, 1.0)
    return np.asarray(rise * rise * (3.0 - 2.0 * rise), np.float32)  # no kink where it begins and ends


class Patch(NamedTuple):
    """What becomes of a picture in one face: made by `patch`, put in by `paste`."""

    layers: NDArray[np.float16]  # [S, S, 7]: change, what was cut out, how much of the picture is kept
    matrix: Matrix  # from the picture to the layers
    box: Box  # of the picture that it may change


def patch(restored: NDArray[np.uint8], cut: NDArray[np.uint8], matrix: Matrix, size: Tuple[int, int]) -> Patch:
    """Prepare a restored square for pasting.

    What is pasted is the change: the restored square less what was cut out. Where restoring changed next to nothing,
    the picture stays as it is, with detail that is too fine for the square; elsewhere that detail is replaced, too.

    Args:
        restored: `[side, side, 3]`.
        cut: the square that was restored, as `crop` gave it.
        matrix: from the picture that is pasted into (see `from_enlarged`) to the square.
        size: width and height of the picture.
    """
    side = len(cut)
    change = restored.astype(np.float32) - cut
    blurred = ndimage.uniform_filter(np.abs(change).max(axis=2), max(3, round(side * _BLUR) | 1))
    kept = np.exp(-np.square(blurred / _UNCHANGED))
    layers = np.concatenate([change, cut, kept[..., None]], axis=2, dtype=np.float32)
    factor = int(scale_of(matrix))
    if factor >= 2:
        layers, matrix = _reduced(layers, factor), in_square(matrix, 1 / factor)
    return Patch(layers.astype(np.float16), matrix, reached(size, matrix, len(layers)))


@functools.lru_cache(maxsize=64)
def _weights(side: int) -> NDArray[np.float32]:
    """The mask of a square, and how near its pixels are to the middle, float32 `[side, side, 2]`."""
    rows, columns = (np.mgrid[:side, :side].astype(np.float32) + 0.5) / side - 0.5
    near = np.clip(1.0 - np.hypot(rows, columns) / 0.75, 0.0, 1.0) ** 6  # 0.71 is the distance of the corners
    return np.stack([feathered_mask(side), near], axis=2)


def paste(picture: Image.Image, patches: Sequence[Patch], blend: float = 1.0) -> None:
    """Put restored faces into a picture, in place. Where no patch has weight every pixel stays as it is.

    Where patches overlap, each counts the more the nearer its face is; the order of the patches makes no difference.

    Args:
        picture: transparency is kept.
        patches: one for each face.
        blend: 0 (nothing changes) to 1.
    """
    for box in _tiles(patches):
        part = picture.crop(box)
        change = changed(part, box, patches)
        if change is not None:
            picture.paste(_added(part, blend * change), box)


def spread(
    picture: Image.Image, samples: int, patches_of: Callable[[int], Sequence[Patch]]
) -> List[Tuple[Box, NDArray[np.float32]]]:
    """How much several restorations of one picture differ, in each pixel, once they are pasted.

    Args:
        picture: that they would be pasted into.
        samples: how many there are.
        patches_of: makes the patches of a restoration, of the same faces for each; only one's are held at a time.

    Returns:
        Boxes that do not overlap, and the standard deviation in each, in levels: the root of the mean over the channels
        of the variance over the samples, float32 `[rows, columns]`. Outside of the boxes it is 0.
    """
    sums: Dict[Box, NDArray[np.float32]] = {}
    squares: Dict[Box, NDArray[np.float32]] = {}
    for sample in range(samples):
        patches = patches_of(sample)
        for box in _tiles(patches):
            change = changed(picture.crop(box), box, patches)
            if change is not None:
                sums[box] = sums.get(box, np.float32(0)) + change
                squares[box] = squares.get(box, np.float32(0)) + np.square(change).mean(axis=2)
    return [
        (box, np.sqrt(np.maximum(squares[box] / samples - np.square(total / samples).mean(axis=2), 0)))
        for box, total in sums.items()
    ]


def changed(part: Image.Image, box: Box, patches: Sequence[Patch]) -> Optional[NDArray[np.float32]]:
    """By how much patches change the part of a picture in `box`, float32 `[rows, columns, 3]`; None: not at all."""
    reaching = [(one, _common(one.box, box)) for one in patches]
    reaching = [(one, common) for one, common in reaching if common[0] < common[2] and common[1] < common[3]]
    if not reaching:
        return None
    base = np.asarray(over_white(part), np.float32)
    total = np.zeros_like(base)
    shares = np.zeros([*base.shape[:2], 1], np.float32)
    untouched = np.ones_like(shares)
    for one, common in reaching:
        place = (slice(common[1] - box[1], common[3] - box[1]), slice(common[0] - box[0], common[2] - box[0]))
        layers, weights = _warped(one, common)
        weight = np.clip(weights[..., :1], 0.0, 1.0)
        finer = base[place] - layers[..., _CUT]  # what the square could not hold
        change = layers[..., _CHANGE] - (1.0 - np.clip(layers[..., _KEPT], 0.0, 1.0)) * finer
        share = np.maximum(weights[..., 1:], _FAR) * weight
        total[place] += share * change
        shares[place] += share
        untouched[place] *= 1.0 - weight
    return np.where(shares > 0, (1.0 - untouched) * total / np.maximum(shares, np.finfo(np.float32).tiny), 0.0)


def _warped(one: Patch, box: Box) -> Tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The layers of a patch, and its weights (see `_weights`), as they lie in a box of the picture.

    Layers that have to be enlarged are so by bicubic interpolation first, no more of them than the box shows.
    """
    edges = np.array([[box[0], box[1]], [box[2], box[1]], [box[0], box[3]], [box[2], box[3]]], np.float64)
    places, side = mapped(one.matrix, edges), len(one.layers)
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - _MARGIN, 0, side - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + _MARGIN, low + 1, side)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    layers, weights = one.layers[part].astype(np.float32), _weights(side)[part]
    matrix = in_part(np.column_stack([one.matrix[:, :2], one.matrix[:, 2] - low]), box)
    size = (box[3] - box[1], box[2] - box[0])
    factor = min(_SMOOTHEST, int(np.ceil(1 / scale_of(one.matrix))))
    if factor == 1:
        both = warp(np.concatenate([layers, weights], axis=2), matrix, size)
        return both[..., : layers.shape[2]], both[..., layers.shape[2] :]
    return warp(_enlarged(layers, factor), in_square(matrix, factor), size), warp(weights, matrix, size)


def _reduced(layers: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Layers with the mean of `factor` x `factor` pixels as one."""
    missing = -len(layers) % factor
    layers = np.pad(layers, ((0, missing), (0, missing), (0, 0)), mode="edge")
    side = len(layers) // factor
    return layers.reshape(side, factor, side, factor, -1).mean(axis=(1, 3))


def _enlarged(layers: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    size = (layers.shape[1] * factor, layers.shape[0] * factor)
    channels = [Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(layers, -1, 0)]
    return np.stack([np.asarray(channel.resize(size, Image.Resampling.BICUBIC)) for channel in channels], axis=-1)


def _tiles(patches: Sequence[Patch]) -> Iterator[Box]:
    """Tiles of a fixed grid that patches reach, each once, cut to what they reach."""
    cells: Dict[Tuple[int, int], List[Box]] = {}
    for left, top, right, bottom in (one.box for one in patches):
        if left < right and top < bottom:
            for row in range(top // _TILE, -(-bottom // _TILE)):
                for column in range(left // _TILE, -(-right // _TILE)):
                    cells.setdefault((row, column), []).append((left, top, right, bottom))
    for (row, column), boxes in sorted(cells.items()):
        edges = np.array(boxes)
        left, top = np.maximum(edges[:, :2].min(axis=0), [column * _TILE, row * _TILE])
        right, bottom = np.minimum(edges[:, 2:].max(axis=0), [(column + 1) * _TILE, (row + 1) * _TILE])
        yield int(left), int(top), int(right), int(bottom)


def _common(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _added(part: Image.Image, change: NDArray[np.float32]) -> Image.Image:
    """A part of a picture with a change in its colours; grey changes by the change's luma (ITU-R BT.601)."""
    pixels = np.array(part)
    grey = part.mode in ("L", "LA")
    if grey:
        change = change @ np.array([[0.299], [0.587], [0.114]], np.float32)
    colours = pixels[..., None] if pixels.ndim == 2 else pixels[..., : 1 if grey else 3]
    colours[...] = np.clip(np.rint(colours + change), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)
