"""The README's picture: a portrait, degraded, and what the shipped model makes of it.

    python tools/readme_picture.py docs/portrait.png --output docs/restored.jpg

The portrait's face is found, aligned as in FFHQ and degraded as the model's configuration says. Beside the restoration
with noise 0 stand three samples and the map of doubt: the deviation of eight samples, white for 25.5 levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from rethink_fr import images
from rethink_fr.data.degradation.tasks import degrade_for_task
from rethink_fr.faces.opening import open_detector
from rethink_fr.faces.search import find_faces
from rethink_fr.inference.faces import align
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr
from rethink_fr.pictures.files import read_image
from rethink_fr.pictures.sheets import contact_sheet
from rethink_fr.runs.config_file import load_config
from rethink_fr.training.observation import doubt_map

_SAMPLES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("--model", default="mini128")
    parser.add_argument("--config", default="mini128", help="whose degradation is meant")
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2], help="of the degradation, a row for each")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    restorer = load_restorer(arguments.model)
    portrait = Image.fromarray(read_image(arguments.portrait))
    clean = align(portrait, find_faces(portrait, open_detector()), restorer.resolution)[0].crop
    ranges = load_config(arguments.config).degradation
    degraded = np.stack([degrade_for_task(clean, seed, 0, ranges, ranges.task).numpy() for seed in arguments.seed])
    given = images.to_model(degraded)
    best = images.to_uint8(restorer(given, noise_scale=0.0)).numpy()
    draws = [np.clip(restorer(given, noise_scale=1.0, seed=seed).numpy(), -1.0, 1.0) for seed in range(_SAMPLES)]
    samples = np.stack([images.to_uint8(draw).numpy() for draw in draws])  # [S, B, R, R, 3]
    doubt = np.stack([doubt_map(samples[:, row]) for row in range(len(degraded))])
    columns = {"degraded": degraded, "noise 0": best}
    columns.update({f"sample {number}": sample for number, sample in enumerate(samples[:3], start=1)})
    columns.update({"doubt": doubt, "clean": np.stack([clean] * len(degraded))})
    Image.fromarray(contact_sheet(list(columns.values()), list(columns))).save(arguments.output, quality=92)
    for name in ("degraded", "noise 0", "sample 1"):
        print(f"{name:10} PSNR {np.mean(psnr(columns[name], columns['clean'])):.2f} dB")


if __name__ == "__main__":
    main()
