"""The input pipeline for each core, over the same degradation written with OpenCV and NumPy in one thread.

    python tools/bench_pipeline.py --resolution 256        # needs opencv-python-headless

Both read the same JPEG files and degrade them by Eq. 13 with the same draws of its ranges; flips and batches are the
pipeline's alone. OpenCV's blur is separable, in float32, with as many taps as ours; noise is NumPy's standard_normal in
float32; a reduction is by INTER_AREA, which is the nearest that OpenCV has to an antialiased one. "peers" is the same
with a two-dimensional kernel of 41 x 41 taps and float64 noise, as published training code does. Ratios above 1: ours
is faster. One round after the other, so that all see the same machine; medians. Each round of ours has a new pipeline,
whose first batches do not count: tf.data still chooses how many images it works on at a time, and a pipeline that
stood still meanwhile would have batches in store.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Callable, Dict, List

import cv2
import numpy as np
from _benchmark import arguments_of

from rethink_fr.data.degradation.stages import REFERENCE_RESOLUTION, blur_radius
from rethink_fr.data.pipeline import training_batches
from rethink_fr.data.sources.opening import open_source
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.types import DegradationRanges

RANGES = DegradationRanges()
BATCH = 16
WARM_UP = 20  # batches


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--faces", type=int, default=64, help="number of files")
    parser.add_argument("--images", type=int, default=320, help="images of each in a round")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    cores = len(os.sched_getaffinity(0))

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number:04}.jpg") for number in range(arguments.faces)]
        for number, file in enumerate(files):
            cv2.imwrite(str(file), draw_face(number, 0, arguments.resolution).image[..., ::-1])
        source = open_source(folder, arguments.resolution)

        def ours() -> float:
            batches = iter(training_batches(source, seed=0, global_batch=BATCH, ranges=RANGES))
            for _ in range(WARM_UP):
                next(batches)
            started = time.perf_counter()
            for _ in range(arguments.images // BATCH):
                next(batches)
            return time.perf_counter() - started

        generator = np.random.default_rng(0)
        functions: Dict[str, Callable[[], float]] = {"ours": ours}
        for name, two_dimensional in (("opencv", False), ("peers", True)):

            def theirs(two_dimensional: bool = two_dimensional) -> float:
                started = time.perf_counter()
                for number in range(arguments.images):
                    degrade(cv2.imread(str(files[number % len(files)])), generator, two_dimensional)
                return time.perf_counter() - started

            functions[name] = theirs
        rates: Dict[str, List[float]] = {name: [] for name in functions}
        for round_ in range(1 + arguments.repeats):
            for name, function in functions.items():
                seconds = function()
                if round_:
                    rates[name].append(arguments.images / seconds)

    each_core = median(rates["ours"]) / cores
    print(
        f"{arguments.resolution} px: ours {median(rates['ours']):.0f} images/s on {cores} cores, {each_core:.0f} a core"
    )
    for name in ("opencv", "peers"):
        theirs_rate = median(rates[name])
        print(f"{name}: {theirs_rate:.0f} images/s in one thread; ratio for each core {each_core / theirs_rate:.2f}")


def degrade(image: np.ndarray, generator: np.random.Generator, two_dimensional: bool) -> np.ndarray:
    """Eq. 13 on uint8 BGR `[H, W, 3]`."""
    side = image.shape[0]
    sigma = generator.uniform(*RANGES.blur_sigma) * side / REFERENCE_RESOLUTION
    radius = 20 if two_dimensional else blur_radius(side, RANGES.blur_sigma[1])
    kernel = cv2.getGaussianKernel(2 * radius + 1, max(sigma, 1e-3), cv2.CV_64F if two_dimensional else cv2.CV_32F)
    values = image.astype(np.float32)
    if two_dimensional:
        blurred = cv2.filter2D(values, -1, kernel @ kernel.T)
    else:
        blurred = cv2.sepFilter2D(values, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    small = max(4, round(side / generator.uniform(*RANGES.downscale)))
    small_image = cv2.resize(blurred, (small, small), interpolation=cv2.INTER_AREA)
    deviation = generator.uniform(*RANGES.noise)
    if two_dimensional:
        noisy = small_image + generator.normal(0.0, deviation, small_image.shape)
    else:
        noisy = small_image + np.float32(deviation) * generator.standard_normal(small_image.shape, np.float32)
    quality = int(generator.integers(RANGES.jpeg_quality[0], RANGES.jpeg_quality[1] + 1))
    encoded = cv2.imencode(
        ".jpg", np.clip(np.round(noisy), 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    return cv2.resize(cv2.imdecode(encoded, cv2.IMREAD_COLOR), (side, side), interpolation=cv2.INTER_LINEAR)


if __name__ == "__main__":
    main()
