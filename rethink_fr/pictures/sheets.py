"""Grids of pictures with titles, for people to look at: contact sheets, and the figures of papers."""

from __future__ import annotations

from typing import Sequence, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 4  # pixels
_HEADER = 18
_SMALLEST_SIDE = 96  # smaller pictures are enlarged, pixel by pixel, to be seen at all
_CELL = (128, 512)  # pixels, of a figure's cells


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


def picture_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Draw the figure of a paper: a row for each picture, a column for each method, titles above, names at the left.

    Args:
        rows: uint8 `[H, W, 3]` for each column; pictures of one row and of several may differ in size.
        titles: one for each column.
        names: one for each row.

    Returns:
        The figure, uint8 `[height, width, 3]`. Cells are as large as the largest picture, 128 to 512 pixels. Pictures
        that are larger are reduced by Lanczos, those that fit several times are enlarged by a whole factor, without
        smoothing. What does not fit of titles and names is cut.
    """
    height, width = (
        min(max(max(picture.shape[axis] for row in rows for picture in row), _CELL[0]), _CELL[1]) for axis in (0, 1)
    )
    letters = min(max(width // 10, 13), 32)
    font = ImageFont.load_default(size=letters)
    line = round(1.5 * letters)
    size = (line + len(titles) * (width + _GAP), line + len(rows) * (height + _GAP))
    figure = Image.new("RGB", size, (255, 255, 255))
    for column, title in enumerate(titles):
        figure.paste(_label(title, width, line, font), (line + column * (width + _GAP), 0))
    for place, (row, name) in enumerate(zip(rows, names)):
        top = line + place * (height + _GAP)
        figure.paste(_label(name, height, line, font).rotate(90, expand=True), (0, top))
        for column, picture in enumerate(row):
            cell = _fitted(picture, width, height)
            left = line + column * (width + _GAP)
            figure.paste(cell, (left + (width - cell.width) // 2, top + (height - cell.height) // 2))
    return np.asarray(figure)


def _label(text: str, width: int, height: int, font: Union[ImageFont.FreeTypeFont, ImageFont.ImageFont]) -> Image.Image:
    """One line of text, in the middle of a white box; its end is cut if it is too long."""
    shown = text
    while font.getlength(shown) > width and len(text) > 1:
        text = text[:-1]
        shown = f"{text}..."
    label = Image.new("RGB", (width, height), (255, 255, 255))
    ImageDraw.Draw(label).text((width / 2, height / 2), shown, fill=(0, 0, 0), font=font, anchor="mm")
    return label


def _fitted(picture: np.ndarray, width: int, height: int) -> Image.Image:
    image = Image.fromarray(picture)
    factor = min(width / image.width, height / image.height)
    if factor < 1.0:
        image.thumbnail((width, height), Image.Resampling.LANCZOS)
        return image
    return image.resize((image.width * int(factor), image.height * int(factor)), Image.Resampling.NEAREST)
