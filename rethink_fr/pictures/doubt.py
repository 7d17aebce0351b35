"""Where restorations of one photo differ: a map of colours over the photo, with a legend."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rethink_fr.pictures.files import over_white
from rethink_fr.pictures.geometry import Box

Spread = Tuple[Box, NDArray[np.float32]]  # levels in a part of a picture, as `pictures.pasting.spread` gives them

# From no doubt to much: black, violet, red, orange, light yellow; brightness rises evenly, for the colour-blind too.
_COLOURS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)
_LEGEND = 28  # px
_STRIP = 512  # px
_COVER = 0.85  # of the photo, at the most
_SCALES = (2, 4, 8, 16, 32, 64)


def scale_for(spreads: Sequence[Spread]) -> int:
    """The levels that the brightest colour stands for: 2, 4, ... 64, so that few pixels have more."""
    highest = max((float(np.percentile(values, 99)) for _, values in spreads if values.size), default=0.0)
    return next((scale for scale in _SCALES if highest <= scale), _SCALES[-1])


def heat(levels: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Colours 0..255 for levels from 0 to `scale`, `[..., 3]`."""
    place = np.clip(levels / scale, 0.0, 1.0) * (len(_COLOURS) - 1)
    steps = np.arange(len(_COLOURS))
    return np.stack([np.interp(place, steps, channel) for channel in _COLOURS.T], axis=-1).astype(np.float32)


def doubt_map(picture: Image.Image, spreads: Sequence[Spread]) -> Image.Image:
    """Lay a map of doubt over a photo.

    Args:
        picture: the photo.
        spreads: the standard deviation of its restorations where there are several; see `pictures.pasting.spread`.

    Returns:
        A picture in mode RGB, as large and a legend higher: the photo in grey where all restorations agree, coloured
        where they differ.
    """
    scale = scale_for(spreads)
    width, height = picture.size
    drawn = Image.new("RGB", (max(width, 220), height + _LEGEND), (255, 255, 255))
    for top in range(0, height, _STRIP):  # in strips, for Pillow converts what it pastes
        strip = picture.crop((0, top, width, min(height, top + _STRIP)))
        drawn.paste(over_white(strip).convert("L"), (0, top))
    for box, levels in spreads:
        below = np.asarray(drawn.crop(box), np.float32)
        cover = (_COVER * np.clip(2 * levels / scale, 0.0, 1.0))[..., None]
        mixed = below + cover * (heat(levels, scale) - below)
        drawn.paste(Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8)), box)
    _draw_legend(drawn, height, scale)
    return drawn


def faces_sheet_columns(
    crops: Sequence[NDArray[np.uint8]], restored: Sequence[NDArray[np.uint8]], side: int
) -> Tuple[List[NDArray[np.uint8]], List[str]]:
    """Columns and titles for `pictures.sheets.contact_sheet`: each face as it was, its restorations, their spread.

    Args:
        crops: `[R, R, 3]` for each face.
        restored: `[samples, R, R, 3]` for each face.
        side: the largest that a picture in the sheet has.
    """
    rows = [[crop, *samples, _spread_square(samples)] for crop, samples in zip(crops, restored)]
    size = min(side, len(crops[0]))
    columns = [np.stack([_shrunk(row[number], size) for row in rows]) for number in range(len(rows[0]))]
    return columns, ["input", *(f"sample {number + 1}" for number in range(len(rows[0]) - 2)), "doubt"]


def _spread_square(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    levels = np.sqrt(samples.astype(np.float32).var(axis=0).mean(axis=-1))
    return np.rint(heat(levels, scale_for([((0, 0, 0, 0), levels)]))).astype(np.uint8)


def _shrunk(square: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if len(square) == side:
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.LANCZOS))


def _draw_legend(drawn: Image.Image, top: int, scale: int) -> None:
    bar = heat(np.linspace(0, scale, 96, dtype=np.float32)[None].repeat(10, axis=0), scale)
    drawn.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (14, top + 10))
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default()
    draw.text((4, top + 9), "0", fill=(0, 0, 0), font=font)
    draw.text((114, top + 9), f"{scale} levels of 255", fill=(0, 0, 0), font=font)
