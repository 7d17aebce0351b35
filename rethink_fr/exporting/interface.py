"""In words, what an exported model takes and gives: for its card and for the command's output."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import tensorflow as tf

_MEANINGS = {
    "images": "one face each, framed as in FFHQ; RGB, 0 to 255",
    "image_bytes": "files: JPEG, PNG, BMP, GIF; the central square is resized",
    "noise": "from N(0, 1) for variety, zeros for the one deterministic answer",
    "seed": "of the noise, as in Python's `restorer(images, seed=...)` for one face",
    "noise_scale": "0 (one deterministic answer) to 1 (the full variety)",
    "fidelity": "0 (the texture image) to 1 (the default)",
    "count": "how many restorations, 1 to 64",
    "restored": "RGB, 0 to 255",
    "texture": "made of the codes alone; RGB, 0 to 255",
    "samples": "the restorations of each face",
    "mean": "of these",
    "spread": "standard deviation of these in each pixel and channel, in levels of 255",
    "restored_bytes": "PNG files",
    "texture_bytes": "PNG files: made of the codes alone",
}
_ORDER = list(_MEANINGS)


def describe(signatures: Mapping[str, Any], open_noise: Sequence[Optional[int]] = ()) -> List[str]:
    """Lines of text about functions with an input signature: type, shape and meaning of every input and output.

    Args:
        signatures: the functions by name.
        open_noise: the shape of the noise, for functions that also take noise of no elements.
    """
    meanings = dict(_MEANINGS)
    if open_noise:
        shape = ", ".join(["B", *(str(size) for size in open_noise[1:])])
        meanings["noise"] = f"[{shape}] from N(0, 1), multiplied by noise_scale; empty: drawn from seed"
    lines = []
    for name, function in signatures.items():
        concrete = function.get_concrete_function()
        inputs = {tensor.name: tensor for tensor in tf.nest.flatten(concrete.structured_input_signature)}
        lines.append(name)
        lines += _rows("in ", inputs, meanings)
        lines += _rows("out", concrete.structured_outputs, meanings)
    return lines


def _rows(direction: str, tensors: Mapping[str, Any], meanings: Dict[str, str]) -> List[str]:
    ordered = sorted(tensors.items(), key=lambda pair: _ORDER.index(pair[0]))
    return [f"  {direction} {name:<15}{_kind(tensor):<26}{meanings[name]}" for name, tensor in ordered]


def _kind(tensor: Any) -> str:
    """Type and shape, such as "uint8 [B, 64, 64, 3]"."""
    sizes = ["B" if place == 0 else "any" for place in range(len(tensor.shape))]
    known = [str(size) if size is not None else sizes[place] for place, size in enumerate(tensor.shape)]
    return f"{tensor.dtype.name} [{', '.join(known)}]"
