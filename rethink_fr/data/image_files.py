"""Image files on disk: found, decoded to one form, squared, and written so that a reader never sees half a file.

Imports no TensorFlow: arguments are checked and folders listed in milliseconds.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Iterator, List, Union

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

_EXIF_ORIENTATION = 0x0112
# What undoes each EXIF orientation (Exif 2.32, tag 0x0112); 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImage(ValueError):  # noqa: N818 (reads as what happened)
    """An image that cannot be used. `name` says which, `reason` why, in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def list_images(folder: Union[str, Path]) -> List[Path]:
    """Image files below `folder`, recursively, sorted by their relative path; hidden files and folders are skipped.

    Linked folders are followed, each real folder once.

    Raises:
        ValueError: if `folder` is not a folder that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected a folder of images ({', '.join(IMAGE_SUFFIXES)})")
    try:
        return sorted(_walk(folder), key=lambda path: path.relative_to(folder).parts)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    seen = set()
    for parent, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(parent, name)


def read_image(path: Union[str, Path]) -> np.ndarray:
    """The image file at `path` as upright uint8 RGB `[H, W, 3]`; see `decode_image`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(str(path), error.strerror or type(error).__name__) from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Bytes of an image file as uint8 RGB `[H, W, 3]`, upright (EXIF orientation applied).

    Grey is repeated over the channels, transparency is laid over white, 16-bit grey is scaled by 255 / 65535, CMYK
    and the other colour spaces are converted by Pillow without colour profiles. Only the first frame is read.

    Raises:
        UnreadableImage: for anything that does not decode completely, naming `name` and the reason.
    """
    if not data:
        raise UnreadableImage(name, "the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # TIFF applies its orientation here, so that it is not seen again below
            upright = _upright(image)
            return np.array(_as_rgb(upright, name), dtype=np.uint8)
    except UnreadableImage:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImage(name, "not an image in a known format") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, "its header announces more pixels than Pillow accepts; scale it down") from None
    except Exception as error:  # Decoders of hostile files raise nearly anything: SyntaxError, struct.error, IndexError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(name, f"damaged or truncated ({reason})") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # A damaged EXIF block does not make the pixels unusable.
        orientation = None
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImage(name, "floating-point pixels have no agreed range; convert the file to 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableImage(name, "32-bit pixels have no agreed range; convert the file to 8 bits")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 = 255 * 257
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


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
        raise ValueError(f"{path}: expected a name ending in .png, .jpg or .jpeg")
    write_atomically(path, data)


def write_atomically(path: Union[str, Path], data: bytes) -> None:
    """Write `data` beside `path` under a hidden name, then move it there: readers see the old file or the new one.

    Raises:
        ValueError: naming `path` and the system's reason.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
