"""What a photo's file holds beside its pixels: colour profile, EXIF and XMP data, resolution in print.

It comes from files that may be hostile: whatever cannot be read is left out.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

_MAX_BYTES = 16 << 20  # of each kind
_ORIENTATION, _XMP = 0x0112, 700
_WIDTH, _HEIGHT = 0xA002, 0xA003  # in the Exif IFD: the size that the picture had
# Tags of TIFF that say how the pixels lie in the file, or hold what is carried over by other ways (TIFF 6.0).
_STRUCTURE = frozenset(
    [*range(254, 267), 273, *range(277, 282), 284, *range(288, 294), 301, *range(317, 326), 330, *range(332, 348)]
    + [*range(512, 533), _XMP, 33723, 34377, 34675]
)
_SPACES = {"L": b"GRAY", "LA": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}  # in the header of an ICC profile


@dataclass
class Metadata:
    """See the module's docstring. All say that the picture is upright, which it is once it was read."""

    profile: Optional[bytes] = None  # ICC
    exif: Optional[Image.Exif] = None
    xmp: Optional[bytes] = None
    dpi: Optional[Tuple[float, float]] = None
    lossless: bool = False  # of WebP, which may be either

    def options(self, kind: str, mode: str, size: Tuple[int, int]) -> Dict[str, Any]:
        """What `Image.save` takes to write them into a file.

        Args:
            kind: JPEG, PNG, WEBP or TIFF.
            mode: of the image: a profile of other colours than these is left out.
            size: width and height of the image.
        """
        options: Dict[str, Any] = {}
        if self.profile is not None and self.profile[16:20] == _SPACES.get(mode):
            options["icc_profile"] = self.profile
        if self.exif is not None:
            with contextlib.suppress(Exception):
                options["exif"] = _resized(self.exif, size).tobytes()
                if kind == "TIFF":
                    options["compression"] = None  # Pillow's compressed TIFF cannot hold EXIF data
        if self.xmp is not None and kind in ("JPEG", "WEBP"):
            options["xmp"] = self.xmp
        elif self.xmp is not None and kind == "PNG":
            texts = PngInfo()
            texts.add_itxt("XML:com.adobe.xmp", self.xmp.decode("utf-8", "replace"))
            options["pnginfo"] = texts
        if self.dpi is not None and kind != "WEBP":
            options["dpi"] = self.dpi
        if kind == "WEBP" and self.lossless:
            options["lossless"] = True
        return options


def read_metadata(image: Image.Image) -> Metadata:
    """The metadata of a loaded image."""
    metadata = Metadata(profile=_bytes(image.info.get("icc_profile")))
    with contextlib.suppress(Exception):
        exif = image.getexif()
        for tag in _STRUCTURE.intersection(exif):
            del exif[tag]
        if _ORIENTATION in exif:
            exif[_ORIENTATION] = 1
        if exif and len(exif.tobytes()) <= _MAX_BYTES:
            metadata.exif = exif
    xmp = _bytes(image.info.get("xmp"))
    if xmp is not None:
        metadata.xmp = re.sub(rb"(tiff:Orientation(?:=[\"']|>))[2-8]", rb"\g<1>1", xmp)
    with contextlib.suppress(Exception):
        across, down = (float(value) for value in image.info["dpi"])
        if 1 <= across <= 30_000 and 1 <= down <= 30_000:
            metadata.dpi = (across, down)
    return metadata


def _resized(exif: Image.Exif, size: Tuple[int, int]) -> Image.Exif:
    """The EXIF data with the size that the picture has now, where they tell one."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    for tag, length in ((_WIDTH, size[0]), (_HEIGHT, size[1])):
        if tag in details:
            details[tag] = length
    return exif


def _bytes(value: object) -> Optional[bytes]:
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) and 0 < len(value) <= _MAX_BYTES else None
