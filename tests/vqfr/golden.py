"""Weights by rule, and comparison with stored summaries of activations."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import tensorflow as tf


def rule_value(name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """The weight that the golden rule gives to an official name, PyTorch layout."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    noise = generator.standard_normal(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    last = name.rpartition(".")[2]
    fan_in = float(np.prod(shape[1:])) if len(shape) > 1 else 1.0
    if last in ("weight_u", "weight_v"):
        return (noise / np.linalg.norm(noise.astype(np.float64))).astype(np.float32)
    if last == "running_mean":
        return np.float32(0.1) * noise
    if last == "running_var":
        return np.float32(1) + np.float32(0.2) * np.abs(noise)
    if name.endswith("embedding.weight"):
        return np.float32(0.6) * noise
    if name.endswith("conv_offset.weight"):
        return np.float32(3.0 / np.sqrt(fan_in)) * noise
    if name.endswith("conv_offset.bias"):
        return np.float32(0.5) * noise
    if len(shape) >= 2:
        return np.float32(1.0 / np.sqrt(fan_in)) * noise
    if last == "weight":
        return np.float32(1) + np.float32(0.1) * noise
    assert last == "bias", name
    return np.float32(0.05) * noise


# Buffers of constants, which the rule leaves as they are.
_CONSTANTS = ("ll", "lh", "hl", "hh", "kernel", "num_batches_tracked")


def rule_state(file: Path) -> Dict[str, np.ndarray]:
    """A whole state dict by rule, for the names and shapes in a JSON file, without its constants."""
    entries = json.loads(file.read_text())
    kept = [(name, tuple(shape)) for name, shape in entries if name.rpartition(".")[2] not in _CONSTANTS]
    return {name: rule_value(name, shape) for name, shape in kept}


def smooth_picture() -> np.ndarray:
    """uint8 `[512, 512, 3]`: the smooth input of the reference values."""
    row, column, channel = np.meshgrid(np.arange(512.0), np.arange(512.0), np.arange(3.0), indexing="ij")
    waves = 50 * np.sin(2 * np.pi * column * (channel + 1) / 512 + 0.5 * channel)
    waves += 40 * np.cos(2 * np.pi * row * (channel + 2) / 512)
    waves += 25 * np.sin(2 * np.pi * (column**2 + 2 * row**2) / 512**2)
    return np.clip(np.floor(127.5 + waves + 0.5), 0, 255).astype(np.uint8)


def noise_picture() -> np.ndarray:
    """uint8 `[512, 512, 3]`: the noise that the discriminators' reference values have for a second image."""
    return np.random.Generator(np.random.PCG64(20220513)).integers(0, 256, (512, 512, 3)).astype(np.uint8)


def summary(tensor: tf.Tensor) -> Dict[str, tf.Tensor]:
    """What the stored activations keep of a map `[1, H, W, C]`, channels first as there."""
    height, width = tensor.shape[1], tensor.shape[2]
    rows, columns = max(0, height // 2 - 8), max(0, width // 2 - 8)
    mean = tf.reduce_mean(tf.reduce_mean(tensor, axis=2), axis=1)[0]
    variance = tf.reduce_mean(tf.reduce_mean(tf.square(tensor - mean), axis=2), axis=1)[0]
    return {
        "mean": mean,
        "std": tf.sqrt(variance),
        "min": tf.reduce_min(tensor, axis=[0, 1, 2]),
        "max": tf.reduce_max(tensor, axis=[0, 1, 2]),
        "crop": tf.transpose(tensor[0, rows : rows + 16, columns : columns + 16, :8], [2, 0, 1]),
        "corner": tf.transpose(tensor[0, :8, :8, :4], [2, 0, 1]),
    }
