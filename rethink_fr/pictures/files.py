"""Image files on disk: found, decoded to one form, squared, and written so that a reader never sees half a file.

Imports no TensorFlow: arguments are checked and folders listed in milliseconds. `image_decoding` holds what makes
decoding safe.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Iterator, List, Union

import numpy as np
from PIL import Image

from rethink_fr.files import writing
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_bytes
from rethink_fr.pictures.decoding import Decoded, UnreadableImage, decode

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_IMAGE_BYTES",
    "Decoded",
    "UnreadableImage",
    "decode_image",
    "decode_square",
    "encode_png",
    "list_images",
    "read_image",
    "read_square",
    "square_resize",
    "write_atomically",
    "write_image",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MAX_IMAGE_BYTES = 256 << 20  # of a file: as much as the largest picture has without compression, 4 bytes a pixel


def list_images(folder: Union[str, Path]) -> List[Path]:
    """Image files below `folder`, recursively, sorted by their relative path; hidden files and folders are skipped.

    Linked folders are followed, each real folder once. What has the name of an image is listed whatever it is, and so
    is a folder that may not be listed: reading it says what is wrong with it.

    Raises:
        ValueError: if `folder` is not a folder that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"{printable(folder)}: no such folder; expected a folder of images ({', '.join(IMAGE_SUFFIXES)})"
        )
    try:
        return sorted(_walk(folder), key=lambda path: path.relative_to(folder).parts)
    except OSError as error:
        raise ValueError(f"{printable(folder)}: cannot be listed ({error.strerror}); check its permissions") from error


def _walk(folder: Path) -> Iterator[Path]:
    unlisted: List[Path] = []

    def note(error: OSError) -> None:
        if error.filename is None or Path(error.filename) == folder:
            raise error
        unlisted.append(Path(error.filename))

    seen = set()
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(parent, name)
    yield from unlisted


def read_image(path: Union[str, Path]) -> np.ndarray:
    """The image file at `path` as upright uint8 RGB `[H, W, 3]`; see `decode_image`.

    Raises:
        UnreadableImage: as `decode_image`, or if it is no regular file of at most `MAX_IMAGE_BYTES`.
    """
    return decode_image(_read(path), str(path))


def read_square(path: Union[str, Path], size: int) -> Decoded:
    """The image file at `path` as `square_resize` makes it, with its own size beside; see `decode_square`.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return decode_square(_read(path), size, str(path))


def _read(path: Union[str, Path]) -> bytes:
    try:
        return read_bytes(path, MAX_IMAGE_BYTES)
    except UnreadableFile as error:
        raise UnreadableImage(error.name, error.reason) from error


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Bytes of an image file as uint8 RGB `[H, W, 3]`, upright (EXIF orientation applied).

    Grey is repeated over the channels, transparency is laid over white, 16-bit grey is scaled by 255 / 65535, CMYK
    and the other colour spaces are converted by Pillow without colour profiles. Only the first frame is read.

    Raises:
        UnreadableImage: for anything that does not decode completely, or has more pixels than the environment variable
            RETHINK_FR_MAX_PIXELS (default: 67,108,864), naming `name` and the reason.
    """
    return decode(data, name).image


def decode_square(data: bytes, size: int, name: str = "image") -> Decoded:
    """As `square_resize(decode_image(data, name), size)`, for JPEG of any size.

    A JPEG beyond the limit on pixels is decoded at a reduced size, its shorter side never below `2 * size`.

    Raises:
        UnreadableImage: as `decode_image`.
    """
    decoded = decode(data, name, at_least=2 * size)
    return decoded._replace(image=square_resize(decoded.image, size))


def square_resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 `[H, W, 3]` to `[size, size, 3]` by Lanczos, as the paper prepares its ground truth (section 5.1).

    Our reading: an image that is not square is first cropped to its central square; the paper's are all square.
    """
    rows, columns = image.shape[:2]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS))


def encode_png(image: np.ndarray, compress_level: int = 6) -> bytes:
    """uint8 `[H, W, 3]` as the bytes of a PNG file (lossless)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def write_image(path: Union[str, Path], image: np.ndarray, quality: int = 95) -> None:
    """Write uint8 `[H, W, 3]` as PNG or JPEG, by the suffix of `path`; folders are made, the file appears whole.

    A file that is there already is replaced.

    Raises:
        ValueError: for another suffix, or naming `path` if it cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        data = encode_png(image)
    elif suffix in (".jpg", ".jpeg"):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        data = buffer.getvalue()
    else:
        raise ValueError(f"{printable(path)}: expected a name ending in .png, .jpg or .jpeg")
    writing.write_bytes(path, data)


def write_atomically(path: Union[str, Path], data: bytes) -> None:
    """The old name of `files.writing.write_bytes`.

    Raises:
        ValueError: naming `path` and the system's reason.
    """
    writing.write_bytes(path, data)
