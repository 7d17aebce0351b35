"""VQFR's degradation here against the same steps in OpenCV, on whole random pipelines. Needs opencv-python-headless.

    python tools/compare_degradation.py --version 1 --count 20

Both get the same picture, kernel, factor, noise and quality. A step's line says by how many of 255 levels the two
differ when both start from ours (that step alone), and when each continues from its own previous step (the whole).
"""

from __future__ import annotations

import argparse
from typing import Callable, Dict, List, Tuple

import cv2
import numpy as np
import tensorflow as tf

from rethink_fr.data import VQFR_RANGES, draw_face
from rethink_fr.data.degradation.kernels import filter_image, gaussian_kernel
from rethink_fr.data.degradation.stages import add_noise, compress_jpeg, image_seed, to_uint8, upsample
from rethink_fr.data.degradation.vqfr_recipe import draw_vqfr_degradation, resize_down

_RADIUS, _SIDE = 20, 512
Step = Tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]


def steps(seed: int, index: int, version: int, noise_like: Callable[[np.ndarray], np.ndarray]) -> List[Step]:
    """Each step in both ways, on float32 RGB in 0..255."""
    drawn = draw_vqfr_degradation(seed, index, VQFR_RANGES[version])
    kernel = gaussian_kernel(_RADIUS, drawn.sigma_x, drawn.sigma_y, drawn.rotation)
    factor, quality = float(drawn.downscale), int(drawn.jpeg_quality)
    low = (int(_SIDE // factor), int(_SIDE // factor))

    def jpeg(image: np.ndarray) -> np.ndarray:
        done, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise RuntimeError("OpenCV could not write a JPEG file")
        return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32)

    return [
        ("blur", lambda x: filter_image(x, kernel), lambda x: cv2.filter2D(x, -1, np.float64(kernel))),
        (
            "resize down",
            lambda x: resize_down(x, drawn.downscale),
            lambda x: cv2.resize(x, low, interpolation=cv2.INTER_LINEAR),
        ),
        (
            "noise",
            lambda x: add_noise(x, drawn.noise, image_seed(seed, index, 3)),
            lambda x: np.clip(x + float(drawn.noise) * noise_like(x), 0, 255),
        ),
        ("JPEG", lambda x: compress_jpeg(x, drawn.jpeg_quality), jpeg),
        (
            "resize back",
            lambda x: upsample(x, _SIDE, _SIDE),
            lambda x: cv2.resize(x, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR),
        ),
        ("8 bits", lambda x: to_uint8(x), lambda x: np.clip(x.round(), 0, 255)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, choices=(1, 2), default=1)
    parser.add_argument("--count", type=int, default=20, help="random pipelines")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    together: Dict[str, List[Tuple[float, float]]] = {}
    alone: Dict[str, List[Tuple[float, float]]] = {}
    for index in range(arguments.count):

        def noise_like(image: np.ndarray, index: int = index) -> np.ndarray:
            seed = image_seed(arguments.seed, index, 3)
            return tf.random.stateless_normal(image.shape, seed, alg=tf.random.Algorithm.PHILOX).numpy()

        ours = theirs = np.float32(draw_face(index, 0, _SIDE).image)
        for name, our_step, their_step in steps(arguments.seed, index, arguments.version, noise_like):
            from_ours = np.float32(their_step(ours))
            theirs = np.float32(their_step(theirs))
            ours = np.float32(our_step(tf.constant(ours)))
            for table, other in ((together, theirs), (alone, from_ours)):
                gap = np.abs(ours - other)
                table.setdefault(name, []).append((float(gap.mean()), float(gap.max())))

    print(f"version {arguments.version}, {arguments.count} pipelines; gap in levels of 255")
    print(f"{'step':12s}  {'alone: mean':>12s} {'max':>9s}   {'whole: mean':>12s} {'max':>9s}")
    for name in together:
        columns = []
        for table in (alone, together):
            means, largest = zip(*table[name])
            columns.append(f"{np.mean(means):12.2e} {max(largest):9.2e}")
        print(f"{name:12s}  {columns[0]}   {columns[1]}")


if __name__ == "__main__":
    main()
