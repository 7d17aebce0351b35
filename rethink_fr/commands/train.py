"""`rethink-fr train` trains a restorer, or continues a run.

    rethink-fr train --strategy mirrored --output runs/faces --set data.train=photos/

Without `--config` it trains the small network of `quickstart` on drawn faces, in minutes on two CPU cores. A later call
with the same `--output` continues where the run stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Mapping, Optional

from rethink_fr.commands.arguments import add_settings
from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.errors import AGAIN, FAILED, OK
from rethink_fr.files.names import printable

if TYPE_CHECKING:
    from rethink_fr.training.observation import Embed

NAME = "train"
SUMMARY = "train a restorer, or continue a run"
EXAMPLE = "rethink-fr train --strategy mirrored --output runs/faces --set data.train=photos/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE_OR_NAME", help="default: the run's own, else quickstart")
    parser.add_argument(
        "--strategy",
        choices=("one", "mirrored", "multiworker"),
        default="one",
        help="one device; all GPUs of this machine; all machines named by TF_CONFIG",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run's directory; default: runs/CONFIG")
    parser.add_argument(
        "--init", type=Path, metavar="RUN_DIR", help="start from the weights of this run or converted network"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="RUN_DIR",
        help="VQFR, stage 2: the codebook network that teaches (docs/vqfr.md)",
    )
    parser.add_argument(
        "--resume-from",
        type=int,
        metavar="STEP",
        help="continue from the checkpoint of this step; later ones are put aside. Default: the newest that is whole",
    )
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train until the last step, and print how well the run restores faces that it was not trained on."""
    try:
        with _sigterm_stops():
            return _run(arguments)
    except _Stopped:
        print("stopped by SIGTERM; run the same command again to continue", file=sys.stderr)
        return AGAIN


class _Stopped(BaseException):
    """SIGTERM came when nothing could be saved, or for the second time."""


@contextlib.contextmanager
def _sigterm_stops() -> Iterator[None]:
    """Have SIGTERM raise `_Stopped` in the block, except where training catches it in order to save the run first."""

    def stop(number: int, frame: object) -> None:
        signal.signal(number, previous)
        raise _Stopped

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _run(arguments: argparse.Namespace) -> int:
    from rethink_fr.runs.folder import is_chief, run_lock
    from rethink_fr.runs.mirror import open_run_folder
    from rethink_fr.runs.resolve import resolve_config

    output = arguments.output or Path("runs") / Path(arguments.config or "quickstart").stem
    chief = is_chief(arguments.strategy)
    with open_run_folder(output, chief) as folder:

        def resolve() -> Experiment:
            starts = (arguments.init, arguments.resume_from, arguments.teacher)
            return resolve_config(arguments.config, arguments.set, folder.path, *starts)

        resolve()  # mistakes are told before anything is made
        with run_lock(folder.path) if chief else contextlib.nullcontext():
            config = resolve()  # another process may have trained here meanwhile
            folder.claim()
            if chief:  # loading TensorFlow takes seconds
                print(f"{printable(output)}: {config.training.steps:,} steps, loading", file=sys.stderr)

            from rethink_fr.training.run import train

            embed = identity_network(config.training.identity_network) if chief else None
            report = train(config, arguments.strategy, folder.path, arguments.resume_from, folder.save, embed)
    if report.unreadable:
        print(
            f"{report.unreadable} unreadable files were skipped; they are listed in {printable(output)}/unreadable.txt"
        )
    if not report.finished:
        again = "run the same command again" + (", without --resume-from," if arguments.resume_from is not None else "")
        print(f"stopped at step {report.step}; {again} to continue", file=sys.stderr)
        return AGAIN if report.signal == signal.SIGTERM else FAILED
    if report.figures:
        print(f"step {report.step}, faces it was not trained on: {_compared(report.figures)}")
        print(f"before/after sheet: {printable(output / report.sheet.relative_to(folder.path))}")
        print(f"watch the run: tensorboard --logdir {printable(output / 'logs')}")
    return OK


def identity_network(source: str) -> Optional[Embed]:
    """Load the network of the setting `training.identity_network`; None for "".

    Raises:
        ConfigError: if it cannot be loaded.
    """
    if not source:
        return None
    from rethink_fr.evaluation.networks.loading import load_onnx_embedder, load_published
    from rethink_fr.evaluation.networks.lpips_backbones import LpipsNetwork

    try:
        network = load_published(source) if source == "facenet" else load_onnx_embedder(source)
    except ValueError as error:
        raise ConfigError(f"training.identity_network: {error}") from None
    assert not isinstance(network, LpipsNetwork)
    return network


def _compared(figures: Mapping[str, float]) -> str:
    found = f"{figures['psnr']:.2f} dB / SSIM {figures['ssim']:.3f}"
    if "degraded_psnr" not in figures:
        return f"reconstructed {found}"
    return (
        f"degraded {figures['degraded_psnr']:.2f} dB / SSIM {figures['degraded_ssim']:.3f}, restored {found} "
        f"(PSNR {figures['psnr'] - figures['degraded_psnr']:+.2f} dB, "
        f"SSIM {figures['ssim'] - figures['degraded_ssim']:+.3f})"
    )
