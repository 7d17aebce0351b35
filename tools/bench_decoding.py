"""Decoders of tensorflow-io against Pillow's, as our reader of picture files uses it.

    python tools/bench_decoding.py

For WebP, TIFF and JPEG with an orientation, at 256 and 1024 px: medians in milliseconds a picture with one thread and
with two, and whether both give the same pixels. tensorflow-io's run in a tf.data graph, where they would be used.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List

import numpy as np
import tensorflow as tf
import tensorflow_io as tfio
from _benchmark import arguments_of, median_seconds
from PIL import Image

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.pictures.files import decode_image


def _decode_jpeg(data: tf.Tensor) -> tf.Tensor:
    """TensorFlow's decoder, and a quarter turn where tensorflow-io finds the orientation 6."""
    turns = tf.where(tfio.experimental.image.decode_jpeg_exif(data) == 6, 3, 0)
    return tf.image.rot90(tf.image.decode_jpeg(data, 3), turns)


_DECODERS = {
    "WEBP": lambda data: tfio.image.decode_webp(data)[..., :3],
    "TIFF": lambda data: tfio.experimental.image.decode_tiff(data)[..., :3],
    "JPEG": _decode_jpeg,
}
_PICTURES = 16


def main() -> None:
    arguments = arguments_of(__doc__).parse_args()
    for side in (256, 1024):
        faces = [Image.fromarray(draw_face(number, 0, 256).image).resize((side, side)) for number in range(_PICTURES)]
        for kind, decoder in _DECODERS.items():
            files = [encoded(face, kind) for face in faces]
            same = np.array_equal(decoder(tf.constant(files[0])).numpy(), decode_image(files[0]))
            for threads in (1, 2):
                functions = {
                    "ours": lambda files=files, threads=threads: by_pillow(files, threads),
                    "theirs": lambda files=files, threads=threads, how=decoder: by_tfio(files, threads, how),
                }
                seconds = median_seconds(functions, arguments.repeats, warm_up=1)
                ours, theirs = (1e3 * value / _PICTURES for value in seconds.values())
                print(
                    f"{kind} {side:5} px, {threads} threads: Pillow {ours:7.2f} ms  tensorflow-io {theirs:7.2f} ms  "
                    f"{'equal' if same else 'DIFFERENT'} pixels"
                )


def encoded(face: Image.Image, kind: str) -> bytes:
    """The bytes of a picture file; a JPEG is turned by its orientation."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    face.save(file, kind, **({"exif": exif, "quality": 90} if kind == "JPEG" else {}))
    return file.getvalue()


def by_pillow(files: List[bytes], threads: int) -> None:
    """Decode all by our reader."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode_image, files))


def by_tfio(files: List[bytes], threads: int, decoder: Callable[[tf.Tensor], tf.Tensor]) -> None:
    """Decode all in a tf.data graph."""
    dataset = tf.data.Dataset.from_tensor_slices(files).map(decoder, num_parallel_calls=threads)
    for _ in dataset:
        pass


if __name__ == "__main__":
    main()
