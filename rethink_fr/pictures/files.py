"""Image files as arrays: read to one form, upright uint8 RGB, whatever they hold; made square; written.

Files may be hostile: `files.reading` and `files.image_limits` keep memory and time within limits, and only the formats
of `FORMATS` are tried, whatever a file is called. Nothing here imports TensorFlow. Pillow decodes: the decoders of
tensorflow-io were measured to be 5 to 25 times slower for WebP and TIFF (`tools/bench_decoding.py`).
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Tuple, Union

import numpy as np
from PIL import Image

from rethink_fr.files.image_limits import RefusedImage, check_tiff_arrays, max_pixels, room_to_decode
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_bytes
from rethink_fr.files.writing import write_bytes

MAX_IMAGE_BYTES = 256 << 20  # of a file: as much as the largest picture has without compression, 4 bytes a pixel
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")  # those of `listing.IMAGE_SUFFIXES`; Pillow must try no other

_BAND_PIXELS = 1 << 20  # converted to RGB at a time
_EXIF_ORIENTATION = 0x0112
# What undoes each EXIF orientation (Exif 2.32, tag 0x0112); 1 is upright.
_UPRIGHT: Dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


class UnreadableImage(UnreadableFile):
    """An image that cannot be used. `name` says which one, `reason` why, in a few words."""


class Decoded(NamedTuple):
    """An image, and the size that it has in its file."""

    image: np.ndarray  # uint8 [H, W, 3]
    width: int  # upright, before any reduction
    height: int


def read_image(path: Union[str, Path]) -> np.ndarray:
    """Read the image file at `path` as upright uint8 RGB `[H, W, 3]`; see `decode_image`.

    Raises:
        UnreadableImage: as `decode_image`, or if it is not a regular file of at most 256 MiB.
    """
    return decode_image(read_file(path), str(path))


def read_square(path: Union[str, Path], size: int) -> Decoded:
    """Read the image file at `path` and make it `[size, size, 3]`; see `decode_square`.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return decode_square(read_file(path), size, str(path))


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Decode the bytes of an image file to uint8 RGB `[H, W, 3]`, upright (the EXIF orientation is applied).

    Grey is repeated over the channels, transparency is laid over white, 16-bit grey is scaled by 255 / 65535; Pillow
    converts CMYK and other colour spaces without colour profiles. Of several frames the first is taken.

    Args:
        data: the contents of the file.
        name: of the file, for errors.

    Raises:
        UnreadableImage: for anything that does not decode completely, or has more pixels than the environment variable
            RETHINK_FR_MAX_PIXELS allows (default: 67,108,864). It names `name` and the reason.
        ValueError: if that variable is not a whole number above 0.
    """
    return _decode(data, name).image


def decode_square(data: bytes, size: int, name: str = "image") -> Decoded:
    """Decode an image file and resize its central square as degraded training images are: see `square_resize`.

    A smaller image is enlarged bilinearly, as Eq. 13 is read in training (`data.degradation`), so that the network sees
    what it was trained on.
    A JPEG of more pixels than the limit is not refused but decoded at a half, a quarter or an eighth of its size, as
    long as its shorter side keeps `2 * size` pixels. The result also says which size the file has.

    Raises:
        UnreadableImage, ValueError: as `decode_image`.
    """
    decoded = _decode(data, name, at_least=2 * size)
    return decoded._replace(image=square_resize(decoded.image, size, enlarge=Image.Resampling.BILINEAR))


def square_resize(image: np.ndarray, size: int, enlarge: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    """Resize uint8 `[H, W, 3]` to `[size, size, 3]` by Lanczos, as the paper prepares its ground truth (section 5.1).

    Our reading: an image that is not square is first cropped to its central square; the paper's are all square.

    Args:
        image: uint8 `[H, W, 3]`.
        size: side of the result, in pixels.
        enlarge: the filter for an image that is smaller.
    """
    rows, columns = image.shape[:2]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    chosen = enlarge if side < size else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(square).resize((size, size), chosen))


def over_white(image: Image.Image) -> Image.Image:
    """An image in mode RGB; if it has transparency, it is laid over white."""
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def encode_png(image: np.ndarray, compress_level: int = 6) -> bytes:
    """Encode uint8 `[H, W, 3]` as the bytes of a PNG file (lossless)."""
    return _encode(image, "PNG", compress_level=compress_level)


def write_image(path: Union[str, Path], image: np.ndarray, quality: int = 95) -> None:
    """Write uint8 `[H, W, 3]` as PNG or JPEG, whichever the suffix of `path` says.

    Missing folders are made, a file that is there is replaced, and readers see the old file or the whole new one.

    Raises:
        ValueError: for another suffix, or naming `path` if it cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        data = encode_png(image)
    elif suffix in (".jpg", ".jpeg"):
        data = _encode(image, "JPEG", quality=quality)
    else:
        raise ValueError(f"{printable(path)}: expected a name ending in .png, .jpg or .jpeg")
    write_bytes(path, data)


def _encode(image: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind, **options)
    return buffer.getvalue()


def read_file(path: Union[str, Path]) -> bytes:
    """The bytes of an image file of at most 256 MiB.

    Raises:
        UnreadableImage: if it cannot be read.
    """
    try:
        return read_bytes(path, MAX_IMAGE_BYTES)
    except UnreadableFile as error:
        raise UnreadableImage(error.name, error.reason) from error


@contextlib.contextmanager
def opened(data: bytes, name: str, formats: Tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Open the bytes of an image file that may be hostile, not decoded yet. Decode it, and use it, within the block.

    Raises:
        UnreadableImage: for anything that goes wrong in opening it or in the block; it names `name` and the reason.
    """
    if not data:
        raise UnreadableImage(name, "the file is empty")
    try:
        check_tiff_arrays(data)
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.mode == "F":
                raise RefusedImage("floating-point pixels have no agreed range; convert the file to 8 bits")
            yield image
    except RefusedImage as error:
        raise UnreadableImage(name, str(error)) from None
    except Image.UnidentifiedImageError:
        raise UnreadableImage(name, f"not an image in a known format ({', '.join(formats)})") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, "its header announces more pixels than Pillow accepts; scale it down") from None
    except MemoryError:
        raise UnreadableImage(name, "decoding it takes more memory than there is; scale it down") from None
    except Exception as error:  # Decoders of hostile files raise nearly anything: SyntaxError, struct.error, IndexError
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise UnreadableImage(name, f"damaged or truncated ({reason})") from error


def orientation_of(image: Image.Image) -> Optional[int]:
    """What the EXIF data of an image say about its orientation: 2 to 8; None if it is upright, or they are damaged."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # A damaged EXIF block does not make the pixels unusable.
        return None
    return orientation if orientation in _UPRIGHT else None


def grey_of_16_bits(image: Image.Image) -> Image.Image:
    """An image of 16-bit grey pixels in 8 bits.

    Raises:
        RefusedImage: if a value does not fit into 16 bits.
    """
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise RefusedImage("32-bit pixels have no agreed range; convert the file to 8 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257


def _decode(data: bytes, name: str, at_least: Optional[int] = None) -> Decoded:
    """See `decode_image`, or `decode_square` if `at_least` says how many pixels of the shorter side are needed."""
    limit = max_pixels()
    with opened(data, name) as image:
        width, height = image.size
        if at_least is not None:
            _reduce(image, at_least, limit)
        reduced = image.size != (width, height)
        with room_to_decode(image, data, width * height, limit):
            image.load()  # TIFF applies its orientation here, so that it is not seen again below
            orientation = orientation_of(image)
            rgb = _upright(_rgb(image), orientation)
    if not reduced:
        height, width = rgb.shape[:2]
    elif orientation is not None and orientation >= 5:
        width, height = height, width
    return Decoded(rgb, width, height)


def _reduce(image: Image.Image, at_least: int, limit: int) -> None:
    """Have a JPEG of more than `limit` pixels decoded at the largest reduced size that keeps to it."""
    width, height = image.size
    for divisor in (2, 4, 8):
        if image.format not in ("JPEG", "MPO") or image.size[0] * image.size[1] <= limit:
            return
        if min(width, height) // divisor >= at_least and (width // divisor) * (height // divisor) <= limit:
            image.draft(None, (width // divisor, height // divisor))


def _upright(stored: np.ndarray, orientation: Optional[int]) -> np.ndarray:
    return stored if orientation is None else np.ascontiguousarray(_UPRIGHT[orientation](stored))


def _rgb(image: Image.Image) -> np.ndarray:
    """A loaded image as uint8 `[H, W, 3]`, by bands of rows: intermediate forms take several bytes a pixel."""
    width, height = image.size
    result = np.empty([height, width, 3], np.uint8)
    rows = max(1, _BAND_PIXELS // max(1, width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        band = image if rows >= height else image.crop((0, top, width, bottom))
        result[top:bottom] = np.asarray(_band_as_rgb(band))
    return result


def _band_as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = grey_of_16_bits(image)
    return over_white(image)
