"""`rethink-fr restore` restores the faces in photos and clips.

    rethink-fr restore photo.jpg holiday/ --model runs/faces --output restored --samples 4

Every face that is found is restored and put back; the photo stays what it was, in its format, size and colours. In a
clip each face is followed from frame to frame, and its sound and timing stay. With `--aligned` the inputs are single
faces framed as in FFHQ, and each becomes a PNG file of the model's resolution. `report.json` says what became of every
input. One that cannot be read is listed, and the others are restored.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Optional, Sequence, Tuple

from rethink_fr.commands.arguments import add_overwrite, add_runner
from rethink_fr.config.checks import ConfigError
from rethink_fr.config.precision import why_float32
from rethink_fr.errors import OK, report_failures
from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable

if TYPE_CHECKING:
    from rethink_fr.inference.photo_report import PhotoSettings

NAME = "restore"
SUMMARY = "restore photos and clips"
EXAMPLE = "rethink-fr restore photo.jpg holiday/ --model runs/faces --output restored --samples 4"

_DEFAULT_MODEL = Path("mini128")
_SHOWN = 10  # notes that are printed; all are in the report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", nargs="+", type=Path, metavar="INPUT", help="pictures, clips and folders of them")
    parser.add_argument("--output", type=Path, default=Path("restored"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--model",
        type=Path,
        default=_DEFAULT_MODEL,
        metavar="RUN_OR_SAVED_MODEL",
        help="directory made by train or export, the name of a run in runs/, or a model of the package; "
        "default: %(default)s",
    )
    parser.add_argument("--aligned", action="store_true", help="inputs are single faces framed as in FFHQ")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="restorations of each face")
    parser.add_argument(
        "--noise-scale",
        type=float,
        metavar="S",
        help="0: one deterministic answer; 1: all of the variety; default: 1, and 0 for one restoration by mini128",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K")
    parser.add_argument(
        "--fidelity", type=float, metavar="F", help="VQFR version 2: 0, textures of the codebook alone, to 1 (default)"
    )
    parser.add_argument(
        "--texture", action="store_true", help="VQFR, with --aligned: write the texture branch's image too"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "tf32"),
        default="float32",
        help="of products; bfloat16 is faster where the processor has it, tf32 on newer NVIDIA GPUs; default: "
        "%(default)s",
    )
    parser.add_argument(
        "--force-precision", action="store_true", help="bfloat16 also on a processor without it, where it is slower"
    )
    add_overwrite(parser, "files that are in --output already, and do all anew")
    add_runner(parser)
    _add_photo_arguments(parser.add_argument_group("whole photos, and clips"))


def _add_photo_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--upscale",
        type=int,
        choices=(1, 2, 4),
        default=1,
        help="enlarge photos so many times; default: %(default)s",
    )
    group.add_argument(
        "--background-model", type=Path, metavar="SAVED_MODEL", help="enlarges what is around the faces, for Lanczos"
    )
    group.add_argument("--only-center-face", action="store_true", help="restore the face nearest to the middle only")
    group.add_argument(
        "--min-face",
        type=int,
        metavar="PIXELS",
        help="side of the smallest face; default: 20, or more in photos of more than 1600 px",
    )
    group.add_argument(
        "--detection-threshold", type=float, default=0.9, metavar="T", help="0 to 1, how sure a face has to be"
    )
    group.add_argument("--detector", type=Path, metavar="FILE.onnx", help="RetinaFace or YuNet, for MTCNN")
    group.add_argument("--face-only", action="store_true", help="write the restored faces, not the photos")
    group.add_argument("--suffix", default="", metavar="TEXT", help="added to the names of outputs, before .jpg")
    group.add_argument(
        "--ext", choices=("auto", "jpg", "png", "webp", "tif"), default="auto", help="format; default: as it was"
    )
    group.add_argument(
        "--keep-grey",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="faces in grey photos stay grey; default: they do",
    )
    group.add_argument(
        "--blend", type=float, default=1.0, metavar="B", help="0: the photo as it was, to 1: the faces as restored"
    )
    group.add_argument("--match-colours", action="store_true", help="give restored faces the colours they had")
    group.add_argument(
        "--identity-net", type=Path, metavar="FILE.onnx", help="report how far each face moved from its identity"
    )


def run(arguments: argparse.Namespace) -> int:
    """Restore the inputs, and list those that could not be."""
    _check(arguments)
    arguments.precision = _precision(arguments)
    if arguments.noise_scale is None:
        arguments.noise_scale = _noise_scale(arguments.model, arguments.samples)
    if arguments.runner is not None:
        from rethink_fr.commands.restore_by_pipeline import restore_by_pipeline

        return restore_by_pipeline(arguments, None if arguments.aligned else _photo_settings(arguments))
    return _restore_aligned(arguments) if arguments.aligned else _restore_photos(arguments)


def _precision(arguments: argparse.Namespace) -> str:
    """The precision that was asked for, or float32 if that is faster; says so."""
    if arguments.precision == "float32":
        return "float32"
    import tensorflow as tf

    gpu = bool(tf.config.list_physical_devices("GPU"))
    reason = why_float32(arguments.precision, arguments.force_precision, gpu)
    if not reason:
        return str(arguments.precision)
    print(f"rethink-fr: {reason} (--force-precision insists)", file=sys.stderr)
    return "float32"


def _noise_scale(model: Path, samples: int) -> float:
    """All of the variety, but for one restoration by mini128: its best single answer is the one at noise 0."""
    return 0.0 if model == _DEFAULT_MODEL and samples == 1 else 1.0


def _restore_photos(arguments: argparse.Namespace) -> int:
    from rethink_fr.faces.opening import check_detector, open_detector
    from rethink_fr.inference.background import background, check_background_model
    from rethink_fr.inference.photo_plan import plan_photos

    check_detector(arguments.detector)
    if arguments.background_model is not None:
        check_background_model(arguments.background_model)
    settings = _photo_settings(arguments)
    reads = [arguments.detector, arguments.identity_net, *_files_of(arguments.model, arguments.background_model)]
    plan = plan_photos(
        arguments.input,
        arguments.output,
        [path for path in reads if path is not None],
        settings,
        arguments.overwrite,
    )
    earlier = len(plan.photos) - len(plan.left)
    if not plan.left and plan.progress.is_complete:
        print(f"all {earlier} photos were done before; see {printable(arguments.output)}/report.json")
        return OK
    if earlier:
        print(f"{earlier} of {len(plan.photos)} photos were done before; going on with the others")

    from rethink_fr.inference.folder import restore_photos
    from rethink_fr.inference.loading import load_restorer

    embed = None
    if arguments.identity_net is not None:
        from rethink_fr.evaluation.networks.loading import load_onnx_embedder

        embed = load_onnx_embedder(arguments.identity_net)
    report = restore_photos(
        load_restorer(arguments.model, arguments.precision),
        open_detector(arguments.detector),
        plan,
        background(arguments.background_model, arguments.upscale),
        embed,
    )
    print(f"{report.summary()}; see {printable(arguments.output)}/report.json")
    _print_notes([(file.input, note) for file in report.files for note in file.notes])
    return report_failures([(file.input, file.error or "") for file in report.failed])


def _photo_settings(arguments: argparse.Namespace) -> PhotoSettings:
    from rethink_fr.inference.photo_report import PhotoSettings

    return PhotoSettings(
        model=address(arguments.model),
        precision=arguments.precision,
        samples=arguments.samples,
        noise_scale=arguments.noise_scale,
        seed=arguments.seed,
        fidelity=arguments.fidelity,
        upscale=arguments.upscale,
        background_model=_shown(arguments.background_model),
        detector=_shown(arguments.detector) or "mtcnn",
        detection_threshold=arguments.detection_threshold,
        min_face=arguments.min_face,
        only_center_face=arguments.only_center_face,
        face_only=arguments.face_only,
        suffix=arguments.suffix,
        extension=arguments.ext,
        keep_grey=arguments.keep_grey,
        blend=arguments.blend,
        match_colours=arguments.match_colours,
        identity_net=_shown(arguments.identity_net),
    )


def _restore_aligned(arguments: argparse.Namespace) -> int:
    from rethink_fr.inference.restore import plan_restoration, restore

    plan = plan_restoration(
        arguments.input, arguments.output, arguments.model, arguments.samples, arguments.texture, arguments.overwrite
    )

    from rethink_fr.faces.opening import open_detector
    from rethink_fr.inference.loading import load_restorer

    restorer = load_restorer(arguments.model, arguments.precision)
    try:
        detector = open_detector()
    except ValueError:  # the package is not there: aligned faces are restored without it
        detector = None
    report = restore(
        restorer,
        address(arguments.model),
        plan,
        arguments.noise_scale,
        arguments.seed,
        arguments.fidelity,
        detector,
    )
    restored = len(report.files) - len(report.failed)
    print(f"{restored} of {len(report.files)} pictures restored; see {printable(arguments.output)}/report.json")
    _print_notes([(file.input, note) for file in report.files for note in file.notes])
    return report_failures([(file.input, file.error or "") for file in report.failed])


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense, before anything is loaded."""
    if arguments.samples < 1:
        raise ConfigError(f"--samples: expected 1 or more, got {arguments.samples}")
    for option in ("noise_scale", "fidelity", "detection_threshold", "blend"):
        value = getattr(arguments, option)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigError(f"--{option.replace('_', '-')}: expected 0 to 1, got {value}")
    if arguments.min_face is not None and arguments.min_face < 10:
        raise ConfigError(f"--min-face: expected 10 pixels or more, got {arguments.min_face}")
    if os.sep in arguments.suffix or "\0" in arguments.suffix:
        raise ConfigError(f"--suffix {printable(arguments.suffix)}: expected a part of a name, without {os.sep}")
    if arguments.texture and not arguments.aligned:
        raise ConfigError("--texture: works with --aligned only")
    for path in arguments.input:
        if not os.path.lexists(path) and not (arguments.runner and is_remote(path)):
            raise ConfigError(f"{printable(path)}: no such file or folder")
    if arguments.identity_net is not None and not arguments.identity_net.is_file():
        raise ConfigError(f"--identity-net {printable(arguments.identity_net)}: no such file")
    if arguments.aligned:
        from rethink_fr.film.clips import is_clip

        for path in filter(is_clip, arguments.input):
            raise ConfigError(f"{printable(path)}: is a clip, and --aligned is for single faces; leave it out")
        for option in _photo_options(arguments):
            raise ConfigError(f"{option}: is for whole photos; leave it out, or --aligned")


def _photo_options(arguments: argparse.Namespace) -> Iterator[str]:
    """The options for whole photos only that were given."""
    parser = argparse.ArgumentParser()
    _add_photo_arguments(parser.add_argument_group())
    for name, default in vars(parser.parse_args([])).items():
        if getattr(arguments, name) != default:
            yield f"--{name.replace('_', '-')}"


def _files_of(*folders: Optional[Path]) -> Iterator[Path]:
    """The files of models, which are inputs."""
    for folder in folders:
        for place in (folder, Path("runs") / folder) if folder is not None else ():
            if place.is_dir():
                yield from (path for path in place.rglob("*") if path.is_file())


def _print_notes(notes: Sequence[Tuple[str, str]]) -> None:
    for name, note in notes[:_SHOWN]:
        print(f"rethink-fr: note: {printable(name)}: {printable(note)}", file=sys.stderr)
    if len(notes) > _SHOWN:
        print(f"rethink-fr: note: {len(notes) - _SHOWN} more notes are in report.json", file=sys.stderr)


def _shown(path: Optional[Path]) -> Optional[str]:
    return None if path is None else address(path)
