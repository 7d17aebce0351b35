"""One training step of VQFR against the machine's matrix-product peak.

    python tools/bench_vqfr_training.py --stage restoration --version 1 --resolution 256 --width 0.25 --batch 2

"efficiency" is the time that the counted multiply-accumulates of the whole step (generator, teacher, perceptual network
and discriminators, forward and backward) need at the peak, over the measured time. Normalizations, activations,
resampling, optimizers and the average count as zero. R1, which comes every sixteenth step, is left out. The peak is
measured before and after. Higher is better; 1 is the bound. Peak memory is the process's own maximum. Weights are
random, the perceptual network's too: what they are does not change the time.

    python tools/bench_vqfr_training.py --memory --version 1 --resolution 512 --width 1 --batch 1 [--recompute]

With --memory nothing is timed: the peak memory of one step with all terms, R1 too, in a process of its own as here.
With --predict no step is taken: what `rethink-fr doctor` predicts for it, here and for one GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import tensorflow as tf
from _benchmark import arguments_of, peak_memory, training_step

from rethink_fr.doctor.trial import predict
from rethink_fr.runs.config_file import load_config
from rethink_fr.training.run import build_trainer
from rethink_fr.training.trainer import AdversarialTrainer
from rethink_fr.vqfr.settings import VQFRExperiment

_VGG16 = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512, 24: 512, 26: 512, 28: 512}
_HEADS = (64, 128, 256, 512, 512)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--stage", choices=("codebook", "restoration"), default="restoration")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--width", type=float, default=0.25, help="of generator and discriminators")
    parser.add_argument("--batch", type=int, default=2)
    parser.set_defaults(repeats=5)
    parser.add_argument("--without-perceptual", action="store_true", help="leave VGG-16 out")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="parts of the batch")
    parser.add_argument(
        "--recompute", action="store_true", help="activations of generator and perceptual network, for the gradient"
    )
    parser.add_argument("--profile", metavar="DIR", help="write a TensorBoard profile of three steps")
    parser.add_argument("--memory", action="store_true", help="one step with R1, and its peak memory")
    parser.add_argument("--predict", action="store_true", help="the memory that is predicted")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        weights = "none" if arguments.without_perceptual else str(write_random_vgg16(Path(folder) / "vgg16.npz"))
        config = experiment(arguments, weights)
        trainer = build_trainer(config)
    if arguments.memory or arguments.predict:
        (measure_memory if arguments.memory else predict_memory)(config, trainer)
        return
    trainer.enter_phase(max(trainer.phases()))
    image = [arguments.batch, arguments.resolution, arguments.resolution, 3]
    print(f"stage {arguments.stage}, version {arguments.version}: {image}, width {arguments.width}")
    training_step(trainer, image, arguments.repeats, arguments.profile)
    print(f"peak memory             {peak_memory():8.2f} GiB")


def predict_memory(config: VQFRExperiment, trainer: AdversarialTrainer) -> None:
    """Print the prediction of the peak memory of a step with all terms, in the phase in which it takes most."""
    prediction = predict(config, tf.distribute.get_strategy(), trainer)
    print(f"{_described(config)}; from step {prediction.phase}")
    print(f"predicted               {prediction.bytes / 2**30:8.2f} GiB, of tensors {prediction.tensors / 2**30:.2f}")
    print(f"of one GPU              {prediction.of_a_gpu / 2**30:8.2f} GiB")


def measure_memory(config: VQFRExperiment, trainer: AdversarialTrainer) -> None:
    """Take a step with all terms, and print the peak memory."""
    trainer.enter_phase(max(trainer.phases()))
    print(f"{_described(config)}; before the step {peak_memory():.2f} GiB")
    shape = [2, config.training.global_batch, *[config.model.resolution] * 2, 3]
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    start = time.perf_counter()
    scalars = tf.function(trainer.train_step)({"degraded": tf.constant(images[0]), "clean": tf.constant(images[1])})
    losses = {name: float(scalar) for name, scalar in scalars.items() if name.startswith("loss/")}
    print(f"one step                {time.perf_counter() - start:8.1f} s, {len(losses)} losses and terms")
    print(f"peak memory             {peak_memory():8.2f} GiB")


def _described(config: VQFRExperiment) -> str:
    training = config.training
    return (
        f"version {config.model.version}, {config.model.resolution} px, width {config.model.width:g}, "
        f"batch {training.global_batch}, accumulate {training.accumulate}, recompute {training.recompute}"
    )


def experiment(arguments: argparse.Namespace, weights: str) -> VQFRExperiment:
    """The published experiment of a stage and version, reduced, with all its terms."""
    name = ("vqfr" if arguments.version == 1 else "vqfr2") + ("_codebook" if arguments.stage == "codebook" else "")
    config = load_config(f"{name}_512")
    assert isinstance(config, VQFRExperiment)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, resolution=arguments.resolution, width=arguments.width),
        discriminator=dataclasses.replace(config.discriminator, width=arguments.width),
        objective=dataclasses.replace(
            config.objective,
            vgg16=weights,
            # Without perceptual terms L1 has to give the adaptive weight something to go by.
            main=dataclasses.replace(config.objective.main, l1=1.0),
            adaptive_l1=True,
            r1_gamma=config.objective.r1_gamma if arguments.memory or arguments.predict else 0.0,
        ),
        training=dataclasses.replace(
            config.training,
            global_batch=arguments.batch,
            accumulate=arguments.accumulate,
            recompute=arguments.recompute,
        ),
    )


def write_random_vgg16(path: Path) -> Path:
    """Arrays of the shapes that `objective.vgg16` names, random ones that keep activations alive."""
    generator, channels, shapes = np.random.default_rng(0), 3, {}
    for position, filters in _VGG16.items():
        shapes[f"features.{position}.weight"] = (filters, channels, 3, 3)
        shapes[f"features.{position}.bias"] = (filters,)
        channels = filters
    all_shapes: Dict[str, Tuple[int, ...]] = {
        **shapes,
        **{f"lin{level}.model.1.weight": (1, count, 1, 1) for level, count in enumerate(_HEADS)},
    }
    arrays = {
        name: generator.normal(scale=np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.0, size=shape)
        for name, shape in all_shapes.items()
    }
    np.savez(path, **{name: np.float32(np.abs(a) if name.startswith("lin") else a) for name, a in arrays.items()})
    return path


if __name__ == "__main__":
    main()
