"""The best that classical denoisers from scikit-image make of degraded faces, tuned on training faces.

    python tools/classical_baselines.py --config mini128 --tune faces/train --images faces/test --output tables/mini128

Needs scikit-image and PyWavelets. Each method's strengths, with an unsharp mask after it that undoes some of the blur,
are those of a grid with the highest mean PSNR on faces of --tune, which are degraded as the configuration says. The
restored pictures of --images, degraded with the seed of `tools/evaluate_restorer.py`, are written to OUTPUT/METHOD for
`rethink-fr evaluate`. Non-local means is Buades et al. 2005; wavelets are BayesShrink (Chang et al. 2000), averaged
over shifts, the nearest to BM3D that scikit-image has; total variation is Chambolle 2004.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
from PIL import Image
from skimage.filters import unsharp_mask
from skimage.restoration import (
    cycle_spin,
    denoise_bilateral,
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
    estimate_sigma,
)

from rethink_fr.data.degradation.tasks import degrade_for_task
from rethink_fr.data.sources.opening import open_source
from rethink_fr.metrics import psnr
from rethink_fr.pictures.listing import list_images
from rethink_fr.runs.config_file import load_config

Denoiser = Callable[[np.ndarray, float, float], np.ndarray]  # (RGB in 0..1, its noise, a strength) -> RGB


def _wavelet(picture: np.ndarray, sigma: float, strength: float) -> np.ndarray:
    options = {"sigma": strength * sigma, "convert2ycbcr": True, "rescale_sigma": True, "channel_axis": -1}
    return cycle_spin(picture, denoise_wavelet, max_shifts=2, func_kw=options, channel_axis=-1, num_workers=1)


METHODS: Dict[str, Tuple[Denoiser, Tuple[float, ...]]] = {
    "nothing": (lambda picture, sigma, strength: picture, (1.0,)),
    "non_local_means": (
        lambda picture, sigma, strength: denoise_nl_means(
            picture, 5, 6, strength * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
        ),
        (0.4, 0.6, 0.8, 1.2),
    ),
    "wavelets": (_wavelet, (0.5, 1.0, 1.5)),
    "total_variation": (
        lambda picture, sigma, strength: denoise_tv_chambolle(picture, strength * sigma, channel_axis=-1),
        (0.5, 1.0, 1.5, 2.5),
    ),
    "bilateral": (
        lambda picture, sigma, strength: denoise_bilateral(
            picture, 5, max(strength * sigma, 1e-3), 1.5, channel_axis=-1
        ),
        (1.5, 2.5, 4.0),
    ),
}
SHARPENING = tuple(itertools.product((1.0, 2.0), (0.0, 0.3, 0.6, 1.0)))  # (radius, amount)


def denoised(pictures: np.ndarray, method: str, strength: float) -> List[np.ndarray]:
    """Denoise uint8 pictures. The results are RGB in 0..1."""
    made = []
    for unit in pictures / 255.0:
        made.append(METHODS[method][0](unit, float(np.mean(estimate_sigma(unit, channel_axis=-1))), strength))
    return made


def sharpened(denoised: np.ndarray, radius: float, amount: float) -> np.ndarray:
    """Undo some of the blur, and round to uint8."""
    sharp = unsharp_mask(denoised, radius, amount, channel_axis=-1) if amount else denoised
    return np.round(np.clip(sharp, 0.0, 1.0) * 255.0).astype(np.uint8)


def degraded_faces(folder: str, config: Any, seed: int, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Clean faces, evenly spread over a folder, and the same ones degraded: uint8 `[N, R, R, 3]` each."""
    source = open_source(folder, config.model.resolution)
    chosen = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int))
    clean = np.stack([source.read(index) for index in chosen])
    ranges = config.degradation
    return clean, np.stack(
        [degrade_for_task(one, seed, i, ranges, ranges.task).numpy() for i, one in zip(chosen, clean)]
    )


def tuned(method: str, clean: np.ndarray, degraded: np.ndarray) -> Tuple[float, float, float]:
    """The strength, radius and amount with the highest mean PSNR."""
    scores: Dict[Tuple[float, float, float], float] = {}
    for strength in METHODS[method][1]:
        calm = denoised(degraded, method, strength)
        for radius, amount in SHARPENING:
            made = np.stack([sharpened(one, radius, amount) for one in calm])
            scores[strength, radius, amount] = float(np.mean(psnr(made, clean)))
    return max(scores, key=lambda key: scores[key])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--tune", required=True, help="a folder of faces")
    parser.add_argument("--tune-faces", type=int, default=48)
    parser.add_argument("--images", required=True, help="a folder of faces")
    parser.add_argument("--seed", type=int, default=12345, help="of the degradation of --images")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    known = degraded_faces(arguments.tune, config, arguments.seed + 1, arguments.tune_faces)
    clean, degraded = degraded_faces(arguments.images, config, arguments.seed, 10**6)
    names: List[str] = [path.stem for path in list_images(Path(arguments.images))]
    base = psnr(degraded, clean)
    print(f"degraded: {np.mean(base):.2f} dB")
    for method in METHODS:
        settings = tuned(method, *known)
        strength, radius, amount = settings
        made = np.stack([sharpened(one, radius, amount) for one in denoised(degraded, method, strength)])
        gain = psnr(made, clean) - base
        print(f"{method} (strength, radius, amount {settings}): {np.mean(base + gain):.2f} dB ({np.mean(gain):+.2f})")
        folder = arguments.output / method
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, made):
            Image.fromarray(picture).save(folder / f"{name}.png")


if __name__ == "__main__":
    main()
