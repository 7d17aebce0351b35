"""tensorflow-addons against SciPy: warping a picture, distances to a mask's edge, connected components.

    python tools/bench_geometry.py

Prints medians in milliseconds and SciPy's time over that of tensorflow-addons: above 1, tensorflow-addons is faster.
"""

from __future__ import annotations

import time
import warnings
from typing import Any, Callable

import numpy as np
from scipy import ndimage

from rethink_fr.addons import distance_to_edge, warp


def main() -> None:
    warnings.filterwarnings("ignore", module="tensorflow_addons")
    import tensorflow_addons as tfa

    for side in (512, 2048):
        measure(side, tfa.image.connected_components)


def measure(side: int, connected_components: Callable[[np.ndarray], Any]) -> None:
    """Compare both for a picture and a mask of `side` px."""
    picture = np.random.default_rng(0).uniform(0, 255, [side, side, 3]).astype(np.float32)
    scale = 0.8 * side / 512
    cosine, sine = scale * np.cos(0.2), scale * np.sin(0.2)
    matrix = np.array([[cosine, -sine, side / 10], [sine, cosine, side / 20]])
    linear, shift = matrix[::-1, 1::-1], matrix[::-1, 2]  # SciPy has rows first

    def scipy_warp() -> np.ndarray:
        channels = np.moveaxis(picture, -1, 0)
        return np.stack([ndimage.affine_transform(one, linear, shift, (512, 512), order=1) for one in channels], -1)

    mask = np.zeros([side, side], np.bool_)
    mask[side // 4 : -side // 4, side // 5 : -side // 5] = True
    report(f"{side} px picture to a 512 px crop", lambda: warp(picture, matrix, (512, 512)), scipy_warp)
    report(f"distances, {side} px", lambda: distance_to_edge(mask), lambda: ndimage.distance_transform_edt(mask))
    report(f"components, {side} px", lambda: connected_components(mask).numpy(), lambda: ndimage.label(mask)[0])


def report(what: str, addons: Callable[[], np.ndarray], scipy: Callable[[], np.ndarray]) -> None:
    ours, theirs = median(addons), median(scipy)
    print(f"{what:34} tensorflow-addons {ours:8.1f} ms   scipy {theirs:8.1f} ms   ratio {theirs / ours:5.2f}")


def median(function: Callable[[], np.ndarray], repeats: int = 7) -> float:
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


if __name__ == "__main__":
    main()
