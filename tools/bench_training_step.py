"""Training step against the machine's matrix-product peak, and the input pipeline against the step.

    python tools/bench_training_step.py --resolution 128 --width 0.5 --batch 8

"efficiency" is the time that the counted multiply-accumulates of the whole step (both networks forward and backward,
codebook pass; augmentation, optimizers and averages count as zero) need at the peak, over the measured time. The peak
is measured before and after. Higher is better; 1 is the bound. Peak memory is the process's own maximum.
"""

from __future__ import annotations

import time

from _benchmark import arguments_of, peak_memory, training_step

from rethink_fr.config.sections import DataConfig, TrainingConfig
from rethink_fr.data.pipeline import training_batches
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, ObjectiveConfig
from rethink_fr.training.pictures import open_sources
from rethink_fr.training.run import build_trainer


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--skips", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="parts of the batch")
    parser.add_argument("--recompute", action="store_true", help="the generator's activations, for the gradient")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--profile", metavar="DIR", help="write a TensorBoard profile of three steps")
    arguments = parser.parse_args()

    config = ExperimentConfig(
        model=ModelConfig(resolution=arguments.resolution, width=arguments.width, n_skips=arguments.skips),
        data=DataConfig(builtin_identities=32, builtin_pictures=4, validation_images=1),
        objective=ObjectiveConfig(perceptual="none", adversarial=0.05),
        training=TrainingConfig(
            global_batch=arguments.batch,
            accumulate=arguments.accumulate,
            recompute=arguments.recompute,
            precision=arguments.precision,
        ),
    )
    trainer = build_trainer(config)
    print(f"resolution {arguments.resolution}, width {arguments.width}, batch {arguments.batch}, {arguments.precision}")
    image = [arguments.batch, arguments.resolution, arguments.resolution, 3]
    step = training_step(trainer, image, arguments.repeats, arguments.profile)

    source, _ = open_sources(config.data, arguments.resolution)
    batches = iter(training_batches(source, seed=0, global_batch=arguments.batch))
    for _ in range(-(-len(source) // arguments.batch) + 4):  # once through: the drawn faces are cached after it
        next(batches)
    drawn = 40
    start = time.perf_counter()
    for _ in range(drawn):
        next(batches)
    pipeline = (time.perf_counter() - start) / drawn

    images = arguments.batch / pipeline
    print(f"pipeline alone          {images:8.0f} images/s, {step.seconds / pipeline:.1f} times the need")
    print(f"peak memory             {peak_memory():8.2f} GiB")


if __name__ == "__main__":
    main()
