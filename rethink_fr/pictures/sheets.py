"""Contact sheets: grids of pictures with titles, for people to look at."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 4  # pixels
_HEADER = 18
_SMALLEST_SIDE = 96  # smaller pictures are enlarged, pixel by pixel, to be seen at all


def contact_sheet(columns: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Draw a grid of pictures, with a title above each column.

    Args:
        columns: uint8 `[N, H, W, 3]` for each column, all of the same shape: N pictures from top to bottom.
        titles: one for each column.

    Returns:
        The sheet, uint8 `[height, width, 3]`. Pictures narrower than 96 pixels are enlarged by a whole factor.

    Example:
        >>> contact_sheet([np.zeros([2, 96, 96, 3], np.uint8)] * 3, ["input", "sample 1", "sample 2"]).shape
        (222, 304, 3)
    """
    count, height, width, _ = columns[0].shape
    factor = -(-_SMALLEST_SIDE // width)
    height, width = height * factor, width * factor
    sheet = Image.new(
        "RGB",
        (len(columns) * (width + _GAP) + _GAP, _HEADER + count * (height + _GAP) + _GAP),
        (255, 255, 255),
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for column, (pictures, title) in enumerate(zip(columns, titles)):
        left = _GAP + column * (width + _GAP)
        draw.text((left, 3), title, fill=(0, 0, 0), font=font)
        for row, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, _HEADER + _GAP + row * (height + _GAP)))
    return np.asarray(sheet)


def heat_map(values: np.ndarray) -> np.ndarray:
    """Numbers `[..., H, W]` as colours, uint8 `[..., H, W, 3]`: from 0, black, through red and yellow to 1, white.

    Each step is brighter than the one before, so that it can be read in grey too. Others are taken for 0 or 1.
    """
    shares = np.clip(3.0 * np.asarray(values, np.float64)[..., None] - [0.0, 1.0, 2.0], 0.0, 1.0)
    return np.round(255.0 * shares).astype(np.uint8)
