"""Weights by a rule, for networks whose own are not here: they test the arithmetic, not what it means."""

import zlib
from collections.abc import Mapping

import numpy as np


def filled(shapes: Mapping[str, tuple]) -> dict[str, np.ndarray]:
    """A value for each name, in PyTorch's layout; signals keep their size through ReLUs."""
    return {name: value(name, tuple(shape)) for name, shape in shapes.items()}


def value(name: str, shape: tuple) -> np.ndarray:
    draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    last = name.rpartition(".")[2]
    if len(shape) > 1:
        result = draws * np.sqrt(2.0 / np.prod(shape[1:]))
    elif last == "running_var":
        result = 1.0 + 0.2 * np.abs(draws)
    elif last == "weight":
        result = (0.25 if "prelu" in name else 1.0) + 0.1 * draws
    else:
        result = 0.1 * draws
    return result.astype(np.float32)


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 `[count, height, width, 3]` with structure at every size."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 200, (count, height // 8 + 1, width // 8 + 1, 3))
    large = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return (large + generator.integers(0, 56, large.shape)).astype(np.uint8)
