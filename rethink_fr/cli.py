"""The command line: parses arguments, imports the workflow of the command, calls it, reports.

TensorFlow is imported by the workflows only: help and mistakes in arguments or configurations cost no time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Sequence, Tuple

from rethink_fr import __version__, cli_evaluate
from rethink_fr.config import load_degradation
from rethink_fr.files.names import printable
from rethink_fr.settings import ConfigError, Experiment

_OK, _SOME_FAILED, _USAGE = 0, 1, 2


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns the exit code: 0 all done, 1 some inputs failed, 2 usage or configuration error."""
    _print_any_name()
    parsed = _parser().parse_args(arguments)
    _quiet()
    try:
        return parsed.run(parsed)
    except KeyboardInterrupt:
        print("rethink-fr: interrupted", file=sys.stderr)
        return _SOME_FAILED
    except ArithmeticError as error:  # NonFiniteError
        print(f"rethink-fr: {error}", file=sys.stderr)
        return _SOME_FAILED
    except (ValueError, OSError) as error:
        if os.environ.get("RETHINK_FR_DEBUG"):
            raise
        print(f"rethink-fr: error: {_one_line(error)}", file=sys.stderr)
        return _USAGE


def _train(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.resolve import resolve_config
    from rethink_fr.workflows.run_folder import is_chief, run_lock

    output = arguments.output or Path("runs") / Path(arguments.config or "quickstart").stem

    def resolve() -> Experiment:
        return resolve_config(arguments.config, arguments.set, output, arguments.init, arguments.resume_from)

    resolve()  # mistakes are told before anything is made
    with run_lock(output) if is_chief(arguments.strategy) else contextlib.nullcontext():
        config = resolve()  # another process may have trained here meanwhile

        from rethink_fr.workflows.train import RunStopped, train

        try:
            report = train(config, arguments.strategy, output, arguments.resume_from)
        except RunStopped as error:
            print(f"rethink-fr: error: {_one_line(error)}", file=sys.stderr)
            return _SOME_FAILED
    if report.unreadable:
        print(f"{report.unreadable} unreadable files were skipped; they are listed in {output}/unreadable.txt")
    if not report.finished:
        again = "run the same command again" + (", without --resume-from," if arguments.resume_from is not None else "")
        print(f"stopped at step {report.step}; {again} to continue", file=sys.stderr)
        return _SOME_FAILED
    if report.figures:
        print(f"step {report.step}, faces it was not trained on: {_compared(report.figures)}")
        print(f"before/after sheet: {report.sheet}")
        print(f"watch the run: tensorboard --logdir {output / 'logs'}")
    return _OK


def _compared(figures: Mapping[str, float]) -> str:
    found = f"{figures['psnr']:.2f} dB / SSIM {figures['ssim']:.3f}"
    if "degraded_psnr" not in figures:
        return f"reconstructed {found}"
    return (
        f"degraded {figures['degraded_psnr']:.2f} dB / SSIM {figures['degraded_ssim']:.3f}, restored {found} "
        f"(PSNR {figures['psnr'] - figures['degraded_psnr']:+.2f} dB, "
        f"SSIM {figures['ssim'] - figures['degraded_ssim']:+.3f})"
    )


def _restore(arguments: argparse.Namespace) -> int:
    if not arguments.aligned:
        raise ConfigError(
            "restore: this version restores aligned faces only; crop and align them as FFHQ does, then add --aligned"
        )
    if arguments.samples < 1:
        raise ConfigError(f"--samples: expected 1 or more, got {arguments.samples}")
    if not 0.0 <= arguments.noise_scale <= 1.0:
        raise ConfigError(f"--noise-scale: expected 0 to 1, got {arguments.noise_scale}")
    if arguments.fidelity is not None and not 0.0 <= arguments.fidelity <= 1.0:
        raise ConfigError(f"--fidelity: expected 0 to 1, got {arguments.fidelity}")
    for path in arguments.input:
        if not os.path.lexists(path):
            raise ConfigError(f"{printable(path)}: no such file or folder")

    from rethink_fr.workflows.restore_plan import plan_restoration

    plan = plan_restoration(
        arguments.input, arguments.output, arguments.model, arguments.samples, arguments.texture, arguments.overwrite
    )

    from rethink_fr.workflows.loading import load_restorer
    from rethink_fr.workflows.restore import restore

    report = restore(
        load_restorer(arguments.model, arguments.precision),
        str(arguments.model),
        plan,
        arguments.noise_scale,
        arguments.seed,
        arguments.fidelity,
    )
    restored = len(report.files) - len(report.failed)
    print(f"{restored} of {len(report.files)} pictures restored; see {printable(arguments.output)}/report.json")
    return _listed([(file.input, file.error or "") for file in report.failed])


def _evaluate(arguments: argparse.Namespace) -> int:
    return _listed(cli_evaluate.run_evaluate(arguments))


def _study(arguments: argparse.Namespace) -> int:
    return _listed(cli_evaluate.run_study(arguments))


def _degrade(arguments: argparse.Namespace) -> int:
    degradation = load_degradation(arguments.set, {8: "x8", 16: "x16", None: "blind"}[arguments.scale])

    from rethink_fr.workflows.degrade import degrade_folder

    report = degrade_folder(
        arguments.input,
        arguments.output,
        arguments.seed,
        degradation,
        degradation.task,
        overwrite=arguments.overwrite,
    )
    print(f"{report.written} pictures written to {printable(report.output)}")
    return _listed(report.failed)


def _prepare(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.prepare import prepare

    report = prepare(arguments.input, arguments.output, arguments.size)
    print(f"{report.written} images in {report.shards} shards: {report.output}")
    if report.enlarged:
        print(f"{report.enlarged} of them were smaller than {arguments.size} px and had to be enlarged")
    return _listed(report.unreadable)


def _export(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.export import export

    report = export(arguments.model, arguments.output, arguments.overwrite)
    print(
        f"{printable(report.output)}: SavedModel of step {report.step}; largest difference to the Keras model "
        f"{report.difference:.3g} of 255 levels"
    )
    return _OK


def _build_ops(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.build_ops import NativeOpsError, build_ops

    try:
        report = build_ops(arguments.force)
    except NativeOpsError as error:
        print(f"rethink-fr: error: {error}", file=sys.stderr)
        return _SOME_FAILED
    print(f"{', '.join(report.operators)}, {report.instruction_set} kernels: {report.origin}")
    print(f"{report.library}, ready after {report.seconds:.1f} s")
    if report.differences is None:
        print("RETHINK_FR_OPS=reference is set: they are not used")
    else:
        for name, difference in report.differences.items():
            print(f"{name}: differs from TensorFlow's own operations by at most {difference:.2g} of its largest value")
    return _OK


def _convert_vqfr(arguments: argparse.Namespace) -> int:
    if not arguments.checkpoint.is_file():
        raise ConfigError(f"{printable(arguments.checkpoint)}: no such file")

    from rethink_fr.workflows.convert import convert

    report = convert(arguments.checkpoint, arguments.output, arguments.overwrite)
    print(f"{printable(report.output)}: {report.network}, {report.parameters:,} parameters")
    return _OK


def _weights(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.weights import fetch_weights, list_weights, verify_weights

    if arguments.action == "list":
        print("\n".join(list_weights()))
        return _OK
    report = (fetch_weights if arguments.action == "fetch" else verify_weights)(arguments.name)
    for line in report.done:
        print(line)
    if not report.done and not report.failed:
        print("nothing was fetched yet")
    return _listed(report.failed)


def _info(arguments: argparse.Namespace) -> int:
    from rethink_fr.workflows.info import describe

    for name, value in describe(arguments.config, arguments.set):
        print(f"{name:18} {value}")
    return _OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rethink-fr",
        description="Blind face restoration in TensorFlow.",
        epilog="Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"rethink-fr {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str):
        added = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example: {example}",
        )
        added.set_defaults(run=run)
        return added

    def overwrite(added: argparse.ArgumentParser, what: str) -> None:
        added.add_argument("--overwrite", action="store_true", help=f"replace {what}; never what is read")

    def settings(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; may be repeated"
        )

    train = command(
        "train",
        _train,
        "train a restorer, or continue a run",
        "rethink-fr train --strategy mirrored --output runs/faces --set data.train=photos/",
    )
    train.add_argument("--config", metavar="FILE_OR_NAME", help="default: the run's own, else quickstart")
    train.add_argument(
        "--strategy",
        choices=("one", "mirrored", "multiworker"),
        default="one",
        help="one device; all GPUs of this machine; all machines named by TF_CONFIG",
    )
    train.add_argument("--output", type=Path, metavar="DIR", help="the run's directory; default: runs/CONFIG")
    train.add_argument(
        "--init", type=Path, metavar="RUN_DIR", help="start from the weights of this run or converted network"
    )
    train.add_argument(
        "--resume-from",
        type=int,
        metavar="STEP",
        help="continue from the checkpoint of this step; later ones are put aside. Default: the newest that is whole",
    )
    settings(train)

    restore = command(
        "restore",
        _restore,
        "restore photos",
        "rethink-fr restore photo.png --aligned --model runs/faces --output restored --samples 4",
    )
    restore.add_argument("input", nargs="+", type=Path, metavar="INPUT", help="picture files and folders")
    restore.add_argument("--output", required=True, type=Path, metavar="DIR")
    restore.add_argument(
        "--model",
        type=Path,
        default=Path("quickstart"),
        metavar="RUN_OR_SAVED_MODEL",
        help="directory made by train or export, or the name of a run in runs/; default: %(default)s",
    )
    restore.add_argument("--aligned", action="store_true", help="inputs are single faces framed as in FFHQ")
    restore.add_argument("--samples", type=int, default=1, metavar="N", help="restorations of each input")
    restore.add_argument(
        "--noise-scale", type=float, default=1.0, metavar="S", help="0: one deterministic answer; 1: all of the variety"
    )
    restore.add_argument("--seed", type=int, default=0, metavar="K")
    restore.add_argument(
        "--fidelity", type=float, metavar="F", help="VQFR version 2: 0, textures of the codebook alone, to 1 (default)"
    )
    restore.add_argument("--texture", action="store_true", help="VQFR: write the texture branch's image too")
    restore.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of products; bfloat16 is faster where the processor has it (VQFR); default: %(default)s",
    )

    overwrite(restore, "files that are in --output already")

    evaluate = command(
        "evaluate",
        _evaluate,
        "measure restored pictures against their references, paired by name",
        "rethink-fr evaluate --restored restored --reference clean --degraded degraded --output report.json",
    )
    cli_evaluate.add_evaluate_arguments(evaluate)

    study = command(
        "study",
        _study,
        "ask people which method they prefer: blind comparisons as a web page, and their tally",
        "rethink-fr study make --help",
    )
    cli_evaluate.add_study_arguments(study)

    degrade = command(
        "degrade",
        _degrade,
        "degrade clean pictures by blur, reduction, noise and JPEG (Eq. 13), or for super-resolution",
        "rethink-fr degrade clean/ --output degraded --seed 1 --set blur_sigma=[0.2,4]",
    )
    degrade.add_argument("input", type=Path, metavar="INPUT_DIR")
    degrade.add_argument("--output", required=True, type=Path, metavar="DIR")
    degrade.add_argument("--seed", type=int, default=0, metavar="K")
    degrade.add_argument("--scale", type=int, choices=(8, 16), help="bicubic reduction only, by this factor")
    overwrite(degrade, "files that are in --output already")
    settings(degrade)

    prepare = command(
        "prepare",
        _prepare,
        "turn a folder of images into validated TFRecord files for training",
        "rethink-fr prepare photos/ --output records --size 512",
    )
    prepare.add_argument("input", type=Path, metavar="INPUT_DIR")
    prepare.add_argument("--output", required=True, type=Path, metavar="DIR")
    prepare.add_argument("--size", type=int, default=512, metavar="PIXELS")

    export = command(
        "export",
        _export,
        "write a deployable model and check it against the Keras one",
        "rethink-fr export --model runs/faces --format saved_model --output exported",
    )
    export.add_argument("--model", required=True, type=Path, metavar="RUN_DIR")
    export.add_argument("--format", required=True, choices=("saved_model",))
    export.add_argument("--output", required=True, type=Path, metavar="PATH")
    overwrite(export, "a SavedModel that is there already")

    build_ops = command(
        "build-ops",
        _build_ops,
        "build the native operators for this machine, unless they are there, and try them",
        "rethink-fr build-ops",
    )
    build_ops.add_argument("--force", action="store_true", help="build again what was built on this machine")

    convert = command(
        "convert-vqfr",
        _convert_vqfr,
        "turn the published PyTorch weights of VQFR into a run directory (needs the extra 'convert')",
        "rethink-fr convert-vqfr VQFR_v2.pth --output runs/vqfr_v2",
    )
    convert.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pth")
    convert.add_argument("--output", required=True, type=Path, metavar="RUN_DIR")
    overwrite(convert, "a converted network that is there already")

    weights = command(
        "weights",
        _weights,
        "list, fetch or verify the published weights of the networks that `evaluate` measures with",
        "rethink-fr weights fetch inception lpips-vgg",
    )
    weights.add_argument("action", choices=("list", "fetch", "verify"))
    weights.add_argument("name", nargs="*", metavar="NAME", help="see list; verify: all that are there")

    info = command(
        "info",
        _info,
        "show versions, devices and places, and what a configuration's networks cost",
        "rethink-fr info --config rethink_512",
    )
    info.add_argument("--config", metavar="FILE_OR_NAME", help="count the parameters and arithmetic of its networks")
    settings(info)
    return parser


def _listed(failed: Sequence[Tuple[str, str]]) -> int:
    for name, reason in failed:
        print(f"rethink-fr: {printable(name)}: {printable(reason)}", file=sys.stderr)
    return _SOME_FAILED if failed else _OK


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{printable(str(error.filename))}: {error.strerror}"
    lines: List[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _print_any_name() -> None:
    """Have what the terminal's encoding lacks, in the name of a file say, printed as escapes instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _quiet() -> None:
    """Keep tensorflow-addons' end-of-life notice, and what Pillow finds odd in pictures, off the terminal."""
    warnings.filterwarnings("ignore", module="tensorflow_addons")
    warnings.filterwarnings("ignore", module="PIL")
