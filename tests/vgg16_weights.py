"""Made-up weights of VGG-16 and of the heads of LPIPS, under their published names."""

from typing import Dict, Tuple

import numpy as np

CONVOLUTIONS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256} | dict.fromkeys([17, 19, 21, 24, 26, 28], 512)


def shapes() -> Dict[str, Tuple[int, ...]]:
    result, channels = {}, 3
    for position, filters in CONVOLUTIONS.items():
        result[f"features.{position}.weight"] = (filters, channels, 3, 3)
        result[f"features.{position}.bias"] = (filters,)
        channels = filters
    heads = enumerate((64, 128, 256, 512, 512))
    return result | {f"lin{level}.model.1.weight": (1, channels, 1, 1) for level, channels in heads}


def vgg16_arrays() -> Dict[str, np.ndarray]:
    """Random arrays of the right shapes that keep the scale of features; heads are positive."""
    generator = np.random.default_rng(0)
    scales = {name: np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.05 for name, shape in shapes().items()}
    arrays = {name: scales[name] * generator.normal(size=shape) for name, shape in shapes().items()}
    return {name: np.float32(np.abs(array) if name.startswith("lin") else array) for name, array in arrays.items()}
