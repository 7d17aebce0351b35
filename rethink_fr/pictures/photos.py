"""Whole photos: read as they are, kept whole while faces in them are restored, and written again in their own format.

Unlike `pictures.files`, which reads every picture to one form, this keeps what a photo has: grey, transparency, its
colour profile, its EXIF and XMP data. A photo is held by Pillow, at 4 bytes a pixel, and never copied as a whole.
Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

import numpy as np
from PIL import Image

from rethink_fr.files.image_limits import max_pixels, photo_limit, room_to_decode
from rethink_fr.pictures.files import (
    FORMATS,
    UnreadableImage,
    grey_of_16_bits,
    opened,
    orientation_of,
    over_white,
    read_file,
)
from rethink_fr.pictures.metadata import Metadata, read_metadata

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif")
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_OPTIONS: Dict[str, Dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"quality": 95, "exact": True},  # exact: colours under full transparency stay
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BAND_PIXELS = 1 << 20  # of 16 bits, converted at a time
_LOOKED_AT = 512  # px: of the copy that tells whether a photo is grey
_GREY = 8  # levels by which channels of a grey photo may differ, for what JPEG does to them


class UnwritableImage(ValueError):  # noqa: N818 (reads as what happened)
    """A picture that a format cannot hold; `reason` says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Photo:
    """A photo, upright, in 8 bits."""

    image: Image.Image  # of mode L, LA, RGB or RGBA
    is_grey: bool  # whether all of its colours are grey, also if it has three channels
    metadata: Metadata
    notes: Tuple[str, ...]  # what of the file is not in it, in words


def read_photo(path: Union[str, Path]) -> Photo:
    """Read a photo.

    Raises:
        UnreadableImage: if it cannot be read; a HEIC file without the package that reads it says what to install.
    """
    return decode_photo(read_file(path), str(path))


def decode_photo(data: bytes, name: str = "photo") -> Photo:
    """Decode the bytes of a photo. Of several pictures in one file the first is taken.

    Raises:
        UnreadableImage: as `read_photo`.
        ValueError: if the environment variable RETHINK_FR_MAX_PIXELS is not a whole number above 0.
    """
    with opened(data, name, (*FORMATS, "GIF", *_heic(data, name))) as image:
        notes = list(_notes(image, data))
        width, height = image.size
        with room_to_decode(image, data, width * height, photo_limit(image)):
            image.load()
            turn = _TURNS.get(orientation_of(image) or 1)
            metadata = read_metadata(image)
            metadata.lossless = image.format == "WEBP" and b"VP8L" in data[: 1 << 20]  # the name of its chunk
            image = _in_8_bits(image, metadata, notes)
            if turn is not None:
                image = image.transpose(turn)
    return Photo(image, is_grey(image), metadata, tuple(notes))


def output_suffix(suffix: str) -> str:
    """As which a photo is written if nothing else is said: as it was, if photos are written in that format."""
    if suffix.lower() in _FORMATS:
        return suffix
    return ".jpg" if suffix.lower() in (".heic", ".heif") else ".png"


def check_size(photo: Photo, upscale: int) -> None:
    """Refuse a photo that would be too large if it were enlarged.

    Raises:
        UnwritableImage: if it would have more pixels than a photo may have.
    """
    pixels, limit = photo.image.size[0] * photo.image.size[1] * upscale**2, 2 * max_pixels()
    if upscale > 1 and pixels > limit:
        raise UnwritableImage(f"would have {pixels:,} pixels, expected at most {limit:,}; choose a smaller --upscale")


def encode_photo(image: Image.Image, suffix: str, metadata: Optional[Metadata] = None) -> Tuple[memoryview, List[str]]:
    """Encode an image of mode L, LA, RGB or RGBA in the format of `suffix`: .jpg, .jpeg, .png, .webp, .tif or .tiff.

    Returns:
        The bytes, and in words what the format could not hold.

    Raises:
        UnwritableImage: if the format does not take pictures of this size, or `suffix` is another.
    """
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        raise UnwritableImage(f"{suffix}: pictures are written as {', '.join(_FORMATS)} only; choose one with --ext")
    longest = _LONGEST_SIDE.get(kind, max(image.size))
    if max(image.size) > longest:
        raise UnwritableImage(
            f"{image.size[0]} x {image.size[1]} px, expected at most {longest} a side in {kind}; choose another --ext"
        )
    notes = []
    if kind == "JPEG" and image.mode in ("LA", "RGBA"):
        image = over_white(image)
        notes.append("JPEG has no transparency: it was laid over white")
    options = {**_OPTIONS[kind], "icc_profile": b""}  # else Pillow writes the profile that the image was read with
    buffer = io.BytesIO()
    carried = {} if metadata is None else metadata.options(kind, image.mode, image.size)
    try:
        image.save(buffer, format=kind, **{**options, **carried})
    except Exception:  # Metadata come from a file that may be hostile, and may be too large for the format.
        if not carried:
            raise
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        notes.append(f"its metadata do not fit into {kind} and were left out")
    return buffer.getbuffer(), notes


def is_grey(image: Image.Image) -> bool:
    """Whether all colours of an image are grey."""
    if image.mode in ("L", "LA"):
        return True
    small = image.copy() if max(image.size) <= _LOOKED_AT else image.reduce(-(-max(image.size) // _LOOKED_AT))
    colours = np.asarray(over_white(small)).astype(np.int16)
    return bool(np.percentile(np.ptp(colours, axis=2), 99.9) <= _GREY)


def _notes(image: Image.Image, data: bytes) -> Iterator[str]:
    """What will be lost of an image that is not decoded yet."""
    with contextlib.suppress(Exception):  # counting frames reads further into the file, which may be damaged there
        if getattr(image, "is_animated", False) or getattr(image, "n_frames", 1) > 1:
            yield "holds several pictures (an animation, pages, or a depth map); the first one was taken"
    depth = 8
    with contextlib.suppress(Exception):
        if image.format == "PNG":
            depth = data[24]  # of the header chunk, which comes first
        elif image.format == "TIFF":
            depth = max(getattr(image, "tag_v2", {}).get(258, (8,)))
        else:
            depth = int(image.info.get("bit_depth", 8))
    if depth > 8:
        yield f"its {depth} bits a channel became 8"


def _in_8_bits(image: Image.Image, metadata: Metadata, notes: List[str]) -> Image.Image:
    """A loaded image in the mode of L, LA, RGB and RGBA that holds it."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        width, height = image.size
        grey = Image.new("L", image.size)
        rows = max(1, _BAND_PIXELS // max(1, width))
        for top in range(0, height, rows):
            grey.paste(grey_of_16_bits(image.crop((0, top, width, min(height, top + rows)))), (0, top))
        return grey
    if image.mode == "CMYK":
        notes.append("its CMYK colours became RGB")
        return _from_cmyk(image, metadata)
    transparent = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    if image.mode in ("1", "L", "LA", "La"):
        wanted = "LA" if transparent else "L"
    else:
        wanted = "RGBA" if transparent else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _from_cmyk(image: Image.Image, metadata: Metadata) -> Image.Image:
    """In sRGB, by the picture's own profile if it has one that can be used."""
    profile, metadata.profile = metadata.profile, None
    if profile is not None:
        with contextlib.suppress(Exception):  # damaged profiles, and Pillow without its colour management
            from PIL import ImageCms

            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, io.BytesIO(profile), target, outputMode="RGB")
            if converted is not None:
                return converted
    return image.convert("RGB")


def _heic(data: bytes, name: str) -> Tuple[str, ...]:
    """Pillow's name for HEIC files if this is one, with the plug-in that reads them."""
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIC_BRANDS:
        return ()
    if importlib.util.find_spec("pillow_heif") is None:
        raise UnreadableImage(name, "a HEIC picture, which needs the package pillow-heif: pip install pillow-heif")
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)
