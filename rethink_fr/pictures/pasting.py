"""Puts restored faces back into a picture, without a seam and without loss.

What is pasted is the change that restoring made to the aligned square, under a feathered mask; so a square that was not
changed leaves the picture as it is, to the byte. What is computed in float is never larger than a face or a tile of it.
"""

from __future__ import annotations

import functools
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rethink_fr.addons import distance_to_edge, warp
from rethink_fr.pictures.files import over_white
from rethink_fr.pictures.geometry import Box, Matrix, in_part, in_square, reached, scale_of

_TILE = 1024  # px: side of what is pasted at a time
_SMOOTHEST = 4  # times that a square is enlarged by bicubic interpolation; what is left is done bilinearly
_UNCHANGED = 3.0  # levels: where restoring changed less, the picture keeps what the square could not hold
_BLUR = 1 / 56  # of the square's side: over which changes are averaged for it
_FAR = 1e-6  # of `_NEAR`, at the least, so that shares can be divided by their sum
_CHANGE, _CUT, _KEPT, _WEIGHT, _NEAR = slice(0, 3), slice(3, 6), 6, 7, 8  # layers of a patch


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

    layers: NDArray[np.float32]  # [S, S, 9]: change, what was cut out, how much is kept, weight, nearness to the face
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
    scale = scale_of(matrix)
    if scale >= 2:
        layers, matrix = _reduced(layers, int(scale)), in_square(matrix, 1 / int(scale))
    elif scale < 1:
        factor = min(_SMOOTHEST, int(np.ceil(1 / scale)))
        layers, matrix = _enlarged(layers, factor), in_square(matrix, factor)
    layers = np.concatenate([layers, _weights(len(layers))], axis=2)
    # A rim without weight: beyond the layers their border is repeated.
    layers = np.pad(layers, ((1, 1), (1, 1), (0, 0)), mode="edge")
    layers[[0, -1], :, _WEIGHT] = layers[:, [0, -1], _WEIGHT] = 0
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + 1])
    return Patch(layers, matrix, reached(size, matrix, len(layers)))


@functools.lru_cache(maxsize=4)
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


def spread(picture: Image.Image, samples: Sequence[Sequence[Patch]]) -> Iterator[Tuple[Box, NDArray[np.float32]]]:
    """How much several restorations of one picture differ, in each pixel, once they are pasted.

    Args:
        picture: that they would be pasted into.
        samples: the patches of each restoration.

    Yields:
        Boxes that do not overlap, and the standard deviation in each, in levels: the root of the mean over the channels
        of the variance over the samples, float32 `[rows, columns]`. Outside of the boxes it is 0.
    """
    for box in _tiles(samples[0]):
        part = picture.crop(box)
        changes = [changed(part, box, patches) for patches in samples]
        present = [change for change in changes if change is not None]
        if len(present) == len(samples):
            yield box, np.sqrt(np.stack(present).var(axis=0).mean(axis=2))


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
        layers = warp(one.layers, in_part(one.matrix, common), (common[3] - common[1], common[2] - common[0]))
        weight = np.clip(layers[..., _WEIGHT, None], 0.0, 1.0)
        finer = base[place] - layers[..., _CUT]  # what the square could not hold
        change = layers[..., _CHANGE] - (1.0 - np.clip(layers[..., _KEPT, None], 0.0, 1.0)) * finer
        share = np.maximum(layers[..., _NEAR, None], _FAR) * weight
        total[place] += share * change
        shares[place] += share
        untouched[place] *= 1.0 - weight
    return np.where(shares > 0, (1.0 - untouched) * total / np.maximum(shares, np.finfo(np.float32).tiny), 0.0)


def _reduced(layers: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Layers with the mean of `factor` x `factor` pixels as one."""
    missing = -len(layers) % factor
    layers = np.pad(layers, ((0, missing), (0, missing), (0, 0)), mode="edge")
    side = len(layers) // factor
    return layers.reshape(side, factor, side, factor, -1).mean(axis=(1, 3))


def _enlarged(layers: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    side = len(layers) * factor
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).resize((side, side), Image.Resampling.BICUBIC)
        for channel in np.moveaxis(layers, -1, 0)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


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
