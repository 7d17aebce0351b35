"""Distance of restored faces in the features of an ImageNet network, by the arithmetic of LPIPS.

    python tools/squeeze_distance.py --weights FILE.npz --reference clean --restored degraded restored

The network is SqueezeNet 1.0 (Iandola et al. 2016), see `rethink_fr.losses.squeezenet`, or another one that
`rethink_fr.losses.feature_network` loads; every channel counts the same, see `rethink_fr.metrics.perceptual_distance`.
It is a stand-in where the weights of LPIPS cannot be had; its numbers are comparable with each other only. Folders are
paired by name.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List

import numpy as np

from rethink_fr import images
from rethink_fr.evaluation.pairs import pair_by_name
from rethink_fr.losses.feature_network import load_feature_network
from rethink_fr.metrics import perceptual_distance
from rethink_fr.metrics.bootstrap import mean_interval
from rethink_fr.pictures.files import read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--restored", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()

    network = load_feature_network(str(arguments.weights))
    columns: Dict[str, List[float]] = {}
    for folder in arguments.restored:
        for pair in pair_by_name({"restored": folder, "reference": arguments.reference}):
            a, b = (images.to_model(read_image(pair[what])[None]) for what in ("restored", "reference"))
            columns.setdefault(str(folder), []).append(float(perceptual_distance(a, b, network)[0]))
    base = next(iter(columns.values()))
    for name, values in columns.items():
        low, high = mean_interval(values, seed=0)
        closer = np.mean(np.array(values) < np.array(base))
        mean = f"{np.mean(values):.4f} [{low:.4f}, {high:.4f}]"
        print(f"{name}: {mean}, {len(values)} images; below the first folder's on {closer:.0%}")


if __name__ == "__main__":
    main()
