"""VQFR restoring one 512 x 512 face: wall time, processor time, peak memory, and what bfloat16 changes.

    python tools/bench_vqfr.py --version 2
    python tools/bench_vqfr.py --version 1 --model runs/vqfr_v1 --pictures faces/

"ratio" is the wall time over (multiply-accumulates / float32 matrix-product peak of this machine, now); 1 is the bound,
and bfloat16 may go below it. Without --model the weights are random ones that keep activations alive; the PSNR of
bfloat16 against float32 then says little about trained weights. Run it alone on a quiet machine.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import List, Optional, Tuple

import numpy as np
import tensorflow as tf
from _benchmark import arguments_of, gemm_peak, peak_memory, spent_in_turn

from rethink_fr import images
from rethink_fr.layers.complexity import network_complexity
from rethink_fr.metrics import psnr
from rethink_fr.pictures.files import read_image, square_resize
from rethink_fr.pictures.listing import list_images
from rethink_fr.runs.loading import load_run
from rethink_fr.system import Inference, Precision
from rethink_fr.vqfr import load_torch_state, torch_state
from rethink_fr.vqfr.system import VQFRSettings, build, inference


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--version", type=int, choices=(1, 2), default=2, help="with random weights")
    parser.add_argument("--model", type=Path, metavar="RUN", help="a run of convert-vqfr instead")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="aligned faces for the PSNR; default: noise")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "both"), default="both")
    parser.add_argument("--implementation", choices=("auto", "reference", "compiled"), default="auto")
    parser.set_defaults(repeats=3)
    arguments = parser.parse_args()

    network = load_run(arguments.model).inference.network if arguments.model else random_network(arguments.version)
    for module in network.submodules:
        if hasattr(module, "implementation"):
            module.implementation = arguments.implementation
    faces = pictures(arguments.pictures, network.resolution)
    macs = network_complexity(network, network, (1, network.resolution, network.resolution, 3)).multiply_accumulates
    peak = gemm_peak()
    print(f"{macs / 1e9:.1f} GMAC a face; peak {peak / 1e9:.1f} GMAC/s, so the arithmetic needs {macs / peak:.2f} s")
    precisions: Tuple[Precision, ...] = ("float32", "bfloat16")
    results = {}
    for precision in precisions:
        if arguments.precision in (precision, "both"):
            results[precision] = measure(inference(network, precision), faces, arguments.repeats, macs / peak)
    if len(results) == 2:
        scores = [float(psnr(ours, exact)[0]) for ours, exact in zip(results["bfloat16"], results["float32"])]
        print(f"bfloat16 against float32: PSNR {median(scores):.2f} dB in the median of {len(scores)} faces")


def random_network(version: int):
    """Published size; every weight drawn so that its layer keeps the variance of what goes in."""
    network = build(VQFRSettings(version=version))
    generator = np.random.default_rng(0)
    state = {}
    for name, values in torch_state(network).items():
        noise = generator.standard_normal(values.shape, dtype=np.float32)
        if name.endswith("embedding.weight"):
            state[name] = np.float32(0.6) * noise
        elif values.ndim > 1:
            gain = 3.0 if "conv_offset" in name else 1.0
            state[name] = np.float32(gain / np.sqrt(np.prod(values.shape[1:]))) * noise
        else:
            state[name] = np.float32(0.1) * noise + np.float32(0 if name.endswith("bias") else 1)
    load_torch_state(network, state)
    return network


def pictures(folder: Optional[Path], resolution: int) -> np.ndarray:
    """uint8 `[N, R, R, 3]`."""
    if folder is None:
        return np.random.default_rng(0).integers(0, 256, [1, resolution, resolution, 3], dtype=np.uint8)
    return np.stack([square_resize(read_image(path), resolution) for path in list_images(folder)])


def measure(network: Inference, faces: np.ndarray, repeats: int, bound: float) -> List[tf.Tensor]:
    """Print what one face costs in steady state; returns all faces, 0 to 255, not rounded."""
    restore = tf.function(network.function)
    precision = "bfloat16" if any(getattr(m, "precision", 0) == tf.bfloat16 for m in network.network.submodules) else ""
    control = [tf.constant(1.0)] if network.control == "fidelity" else []
    restored = [images.to_levels(restore(images.to_model(face[None]), *control)["restored"]) for face in faces]
    calls = spent_in_turn(
        {"restore": lambda: restore(images.to_model(faces[:1]), *control)["restored"].numpy()}, repeats, warm_up=0
    )["restore"]
    wall, processor = (median(times) for times in zip(*calls))
    print(
        f"{precision or 'float32'}: {wall:.2f} s a face, ratio {wall / bound:.2f}; {processor:.2f} processor seconds; "
        f"peak memory so far {peak_memory():.2f} GiB"
    )
    return restored


if __name__ == "__main__":
    main()
