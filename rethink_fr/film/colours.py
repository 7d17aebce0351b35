"""How the numbers of a clip stand for colours, as FFmpeg numbers it, and the way between them and RGB."""

from __future__ import annotations

from typing import Any, NamedTuple, Tuple

_BT709, _BT601 = 1, 5  # AVCOL_SPC_BT709 and _BT470BG
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_MPEG and _JPEG
_HIGH_RANGE = (16, 18)  # AVCOL_TRC_SMPTE2084 and _ARIB_STD_B67
_ACCURATE = 0x4 | 0x2000 | 0x4000 | 0x40000  # of swscale: bicubic chroma, full resolution, exact rounding


class Colours(NamedTuple):
    """FFmpeg's AVCOL_RANGE, _PRI, _TRC and _SPC of a clip."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2

    @property
    def is_high_range(self) -> bool:
        """Whether it has a high dynamic range (HDR)."""
        return self.transfer in _HIGH_RANGE

    def told(self, size: Tuple[int, int]) -> Colours:
        """The same with nothing left open: what a clip of this size does not tell is what players guess."""
        known = {1: 1, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9, 10: 9}
        matrix = known.get(self.matrix, _BT709 if size[1] >= 720 else _BT601)
        return self._replace(range=_FULL if self.range == _FULL else _LIMITED, matrix=matrix)


def to_rgb(frame: Any, colours: Colours) -> Any:
    """PyAV's frame of a clip as one in RGB."""
    told = colours.told((frame.width, frame.height))
    return frame.reformat(
        format="rgb24",
        src_colorspace=told.matrix,
        dst_colorspace=_BT601,  # which stands for RGB's own
        src_color_range=told.range,
        dst_color_range=_other(told.range),
        interpolation=_ACCURATE,
    )


def from_rgb(frame: Any, colours: Colours, pixels: str) -> Any:
    """PyAV's frame in RGB as one of a clip, whose pixels are in this format; `colours` as `told` gives them."""
    made = frame.reformat(
        format=pixels,
        src_colorspace=_BT601,
        dst_colorspace=colours.matrix,
        src_color_range=_other(colours.range),
        dst_color_range=colours.range,
        interpolation=_ACCURATE,
    )
    made.color_range, made.colorspace = colours.range, colours.matrix
    return made


def _other(clip: int) -> int:
    """What is said of RGB's range, which it does not have: PyAV looks at the ranges only if they differ."""
    return _LIMITED if clip == _FULL else _FULL
