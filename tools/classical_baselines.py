"""The best that classical denoisers of scikit-image and OpenCV make of degraded faces, tuned on training faces.

    python tools/classical_baselines.py --config mini128 --tune faces/train --images faces/test --output tables/mini128

Needs scikit-image, PyWavelets and opencv-python-headless<4.12. Each method has a strength, relative to the noise that
is estimated in the picture, and an unsharp mask after it that undoes some of the blur. Both are those with the highest
mean PSNR on faces of --tune, which are degraded as the configuration says. A grid of strengths whose best lies at its
end is widened until the best lies inside it, or the weakest changes nothing any more: then no denoising is best.

The restored pictures of --images, degraded with the seed of `tools/evaluate_restorer.py`, are written to OUTPUT/METHOD
for `rethink-fr evaluate`; and so are OUTPUT/clean, OUTPUT/degraded and, for blind degradation, OUTPUT/bicubic: the same
small picture enlarged. A folder of any peer's outputs for OUTPUT/degraded goes beside them. OUTPUT/strengths.json holds
what was chosen.

Non-local means is Buades et al. 2005; wavelets are BayesShrink (Chang et al. 2000), averaged over shifts, the nearest
to BM3D that scikit-image has; total variation is Chambolle 2004; bilateral filters are Tomasi and Manduchi 1998.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import cv2
import numpy as np
from evaluate_restorer import enlarged, write  # beside this file
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


def _opencv_means(picture: np.ndarray, sigma: float, strength: float) -> np.ndarray:
    levels = 255.0 * strength * sigma  # of lightness and of colour
    bgr = np.ascontiguousarray(np.round(picture[..., ::-1] * 255.0).astype(np.uint8))
    return cv2.fastNlMeansDenoisingColored(bgr, None, levels, levels, 5, 13)[..., ::-1] / 255.0


METHODS: Dict[str, Denoiser] = {
    "non_local_means": lambda picture, sigma, strength: denoise_nl_means(
        picture, 5, 6, strength * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    ),
    "wavelets": _wavelet,
    "total_variation": lambda picture, sigma, strength: denoise_tv_chambolle(
        picture, strength * sigma, channel_axis=-1
    ),
    "bilateral": lambda picture, sigma, strength: denoise_bilateral(
        picture, 5, max(strength * sigma, 1e-4), 1.5, channel_axis=-1
    ),
    "opencv_non_local_means": _opencv_means,
    "opencv_bilateral": lambda picture, sigma, strength: cv2.bilateralFilter(
        picture.astype(np.float32), 5, max(strength * sigma, 1e-4), 1.5
    ),
}
STRENGTHS = (0.5, 1.0, 2.0)  # where the search begins; it goes on by factors of two
WEAKEST, STRONGEST = 1 / 16, 64.0
SHARPENING = tuple(itertools.product((1.0, 2.0), (0.0, 0.3, 0.6, 1.0)))  # (radius, amount)


def denoised(pictures: np.ndarray, method: str, strength: float) -> List[np.ndarray]:
    """Denoise uint8 pictures. The results are RGB in 0..1."""
    made = []
    for unit in pictures / 255.0:
        made.append(METHODS[method](unit, float(np.mean(estimate_sigma(unit, channel_axis=-1))), strength))
    return made


def sharpened(denoised: np.ndarray, radius: float, amount: float) -> np.ndarray:
    """Undo some of the blur, and round to uint8."""
    sharp = unsharp_mask(denoised, radius, amount, channel_axis=-1) if amount else denoised
    return np.round(np.clip(sharp, 0.0, 1.0) * 255.0).astype(np.uint8)


def spread(of: int, count: int) -> List[int]:
    """Up to `count` places, evenly spread over `of`."""
    return [int(place) for place in np.unique(np.linspace(0, of - 1, min(count, of)).astype(int))]


def degraded_faces(folder: str, config: Any, seed: int, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Clean faces, evenly spread over a folder, and the same ones degraded: uint8 `[N, R, R, 3]` each."""
    source = open_source(folder, config.model.resolution)
    chosen = spread(len(source), count)
    clean = np.stack([source.read(index) for index in chosen])
    ranges = config.degradation
    return clean, np.stack(
        [degrade_for_task(one, seed, i, ranges, ranges.task).numpy() for i, one in zip(chosen, clean)]
    )


def tuned(method: str, clean: np.ndarray, degraded: np.ndarray) -> Dict[str, Any]:
    """The strength, radius and amount with the highest mean PSNR, what they gain, and the ends of the grid."""
    scores: Dict[Tuple[float, float, float], float] = {}

    def best() -> float:
        return max(scores, key=lambda key: scores[key])[0]

    def measure(strength: float) -> None:
        calm = denoised(degraded, method, strength)
        for radius, amount in SHARPENING:
            made = np.stack([sharpened(one, radius, amount) for one in calm])
            scores[strength, radius, amount] = float(np.mean(psnr(made, clean)))

    for strength in STRENGTHS:
        measure(strength)
    while True:
        tried = [strength for strength, _, _ in scores]
        if best() == max(tried) < STRONGEST:
            measure(2.0 * max(tried))
        elif best() == min(tried) > WEAKEST:
            measure(0.5 * min(tried))
        else:
            break
    strength, radius, amount = chosen = max(scores, key=lambda key: scores[key])
    gain = scores[chosen] - float(np.mean(psnr(degraded, clean)))
    ends = [min(tried), max(tried)]
    return {"strength": strength, "radius": radius, "amount": amount, "gain": round(gain, 5), "tried": ends}


def where(found: Dict[str, Any]) -> str:
    """Where a tuned strength lies in its grid, in words."""
    low, high = found["tried"]
    place = f"{'inside' if low < found['strength'] < high else 'at the end of'} {low:g} to {high:g}"
    return place if found["gain"] > 0.0 else f"no denoising is best ({place})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--tune", required=True, help="a folder of faces")
    parser.add_argument("--tune-faces", type=int, default=48)
    parser.add_argument("--images", required=True, help="a folder of faces")
    parser.add_argument("--faces", type=int, default=10**6, help="of --images, evenly spread; default: all")
    parser.add_argument("--seed", type=int, default=12345, help="of the degradation of --images")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    cv2.setNumThreads(1)
    known = degraded_faces(arguments.tune, config, arguments.seed + 1, arguments.tune_faces)
    clean, degraded = degraded_faces(arguments.images, config, arguments.seed, arguments.faces)
    files = list_images(Path(arguments.images))
    names: List[str] = [files[place].stem for place in spread(len(files), arguments.faces)]
    base = psnr(degraded, clean)
    print(f"{len(clean)} faces, degraded: {np.mean(base):.2f} dB", flush=True)
    write(arguments.output / "clean", names, clean)
    write(arguments.output / "degraded", names, degraded)
    if config.degradation.task == "blind":
        places = spread(len(files), arguments.faces)
        large = [enlarged(one, arguments.seed, i, config.degradation) for i, one in zip(places, clean)]
        write(arguments.output / "bicubic", names, np.stack(large))
    chosen: Dict[str, Dict[str, Any]] = {}
    for method in METHODS:
        found = chosen[method] = tuned(method, *known)
        strength, radius, amount = (found[name] for name in ("strength", "radius", "amount"))
        made = np.stack([sharpened(one, radius, amount) for one in denoised(degraded, method, strength)])
        gain = psnr(made, clean) - base
        print(
            f"{method}: strength {strength:g}, {where(found)}; unsharp mask of radius {radius:g}, amount {amount:g}; "
            f"{np.mean(base + gain):.2f} dB ({np.mean(gain):+.3f} +- {np.std(gain) / np.sqrt(len(gain)):.3f}; "
            f"{found['gain']:+.3f} on the faces of --tune)",
            flush=True,
        )
        write(arguments.output / method, names, made)
    strengths = {"faces": len(known[0]), "seed": arguments.seed + 1, "methods": chosen}
    (arguments.output / "strengths.json").write_text(json.dumps(strengths, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
