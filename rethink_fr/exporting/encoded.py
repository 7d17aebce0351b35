"""Image files as squares, by TensorFlow's own operators: what `restore_bytes` does before and after the network.

It does what `pictures.files` does with Pillow, as far as TensorFlow can. TensorFlow 2.15 decodes JPEG, PNG, BMP and the
first picture of a GIF. WebP and JPEG XL are decoded where the TensorFlow that runs the model is new enough (2.21 is);
TIFF, AVIF and HEIC never are. Colour profiles are ignored by both.
"""

from __future__ import annotations

import tensorflow as tf

# The value of the EXIF tag 0x0112 (Exif 2.32): an entry of type SHORT with one value, in either byte order. RE2 reads
# text as UTF-8 and matches a byte that is none by \C only.
_ORIENTATION = (
    r"^\C*?Exif\x00\x00(?:"
    r"II\x2a\x00\C*?\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00|"
    r"MM\x00\x2a\C*?\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08]))\C*$"
)
_EXIF_BYTES = 1 << 16  # of a file; the EXIF segment comes first and is not longer


def decode_squares(files: tf.Tensor, side: int) -> tf.Tensor:
    """Decode image files and resize the central square of each: by Lanczos, and bilinearly if it is enlarged.

    The EXIF orientation of a JPEG is applied, grey is repeated over the channels, transparency is laid over white, and
    of 16 bits the upper 8 are taken.

    Args:
        files: string `[B]`: the contents of the files.
        side: of the squares, in pixels.

    Returns:
        uint8 `[B, side, side, 3]`. A file that cannot be decoded is an `InvalidArgumentError` for the whole batch.
    """
    with tf.device("CPU:0"):  # decoders exist there only
        return tf.map_fn(
            lambda file: _square(file, side), files, fn_output_signature=tf.TensorSpec([side, side, 3], tf.uint8)
        )


def encode_pngs(pictures: tf.Tensor) -> tf.Tensor:
    """Encode uint8 `[B, H, W, 3]` as PNG files: string `[B]`."""
    with tf.device("CPU:0"):
        return tf.map_fn(tf.io.encode_png, pictures, fn_output_signature=tf.TensorSpec([], tf.string))


def _square(file: tf.Tensor, side: int) -> tf.Tensor:
    is_jpeg = tf.strings.substr(file, 0, 3) == b"\xff\xd8\xff"
    picture = tf.cond(
        is_jpeg,
        # The way of all other decoders; TensorFlow's own default is a faster one, which differs by levels.
        lambda: tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(file, channels=0, expand_animations=False),  # [H, W, 1 to 4]: what the file has
    )
    colours = _over_white(tf.ensure_shape(picture, [None, None, None]))
    upright = tf.cond(is_jpeg, lambda: _upright(colours, file), lambda: colours)
    size = tf.shape(upright)[:2]
    shorter = tf.reduce_min(size)
    start = (size - shorter) // 2
    square = upright[start[0] : start[0] + shorter, start[1] : start[1] + shorter]
    resized = tf.cond(
        shorter < side,
        lambda: tf.image.resize(square, [side, side], "bilinear"),
        lambda: tf.image.resize(square, [side, side], "lanczos3", antialias=True),
    )
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)


def _over_white(picture: tf.Tensor) -> tf.Tensor:
    """uint8 `[H, W, C]` to float32 `[H, W, 3]`; two and four channels are grey and colour with transparency."""
    channels = tf.shape(picture)[2]
    transparent = channels % 2 == 0
    values = tf.cast(picture, tf.float32)
    opacity = tf.cond(transparent, lambda: values[:, :, -1:] / 255.0, lambda: tf.ones_like(values[:, :, :1]))
    colours = values[:, :, : tf.where(transparent, channels - 1, channels)]
    over_white = tf.round(colours * opacity + 255.0 * (1.0 - opacity))
    return tf.ensure_shape(tf.broadcast_to(over_white, tf.concat([tf.shape(picture)[:2], [3]], 0)), [None, None, 3])


def _upright(picture: tf.Tensor, file: tf.Tensor) -> tf.Tensor:
    """The picture of a JPEG, turned as the file's EXIF orientation says."""
    head = tf.strings.substr(file, 0, _EXIF_BYTES)
    found = tf.strings.regex_replace(head, _ORIENTATION, r"\1\2", replace_global=False)
    # The whole head is replaced by one byte, or nothing is.
    orientation = tf.cond(
        tf.strings.length(found) == 1,
        lambda: tf.cast(tf.io.decode_raw(found, tf.uint8)[0], tf.int32),
        lambda: 1,
    )
    transposed = tf.cond(orientation >= 5, lambda: tf.transpose(picture, [1, 0, 2]), lambda: picture)
    # 5 to 8 are 1 to 4, after rows and columns have changed places.
    kind = tf.gather([1, 1, 2, 3, 4, 1, 2, 3, 4], orientation)
    flip_columns = (kind == 2) | (kind == 3)
    flip_rows = (kind == 3) | (kind == 4)
    turned = tf.cond(flip_columns, lambda: transposed[:, ::-1], lambda: transposed)
    return tf.cond(flip_rows, lambda: turned[::-1], lambda: turned)
