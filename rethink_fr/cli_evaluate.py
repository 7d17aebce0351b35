"""Arguments of `rethink-fr evaluate` and `rethink-fr study`, and how they are run.

As in `cli`, the workflows are imported when a command runs: help costs no time.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Mapping, Sequence, Tuple, Union

from rethink_fr.config import ConfigError
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs
from rethink_fr.files.writing import WriteError

if TYPE_CHECKING:
    from rethink_fr.workflows.evaluation_needs import Sources
    from rethink_fr.workflows.evaluation_report import EvaluationReport

Failures = List[Tuple[str, str]]  # (what, reason)

_NETWORK_FILES = ("inception", "facenet", "arcface", "awing", "lpips-vgg", "lpips-alex")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `evaluate` takes."""
    parser.add_argument(
        "--restored",
        required=True,
        nargs="+",
        action="extend",
        metavar="[NAME=]DIR",
        help="one folder, or several methods side by side as NAME=DIR NAME=DIR ...",
    )
    parser.add_argument("--reference", required=True, type=Path, metavar="DIR")
    parser.add_argument("--degraded", type=Path, metavar="DIR", help="measured too, for comparison")
    parser.add_argument("--identities", type=Path, metavar="CSV", help="who is on each picture: columns name,identity")
    parser.add_argument(
        "--metrics",
        metavar="A,B,...",
        help="of psnr, ssim, psnr_y, ssim_y, lpips_vgg, lpips_alex, niqe, deg, lmd, fid_paired, fid_statistics, "
        "precision, recall, iprecision, irecall, code_usage, code_perplexity; lpips and fid mean both of theirs; "
        "default: all that can be computed",
    )
    parser.add_argument("--k", type=int, default=4, help="neighbours of precision and recall; default: %(default)s")
    parser.add_argument(
        "--features",
        choices=("identity", "inception"),
        default="identity",
        help="of precision and recall: an identity network's (FaceNet, or --identity-net) or Inception's",
    )
    parser.add_argument(
        "--protocol",
        choices=("ours", "vqfr"),
        default="ours",
        help="vqfr: the basis of VQFR's tables: each channel's mean and deviation matched to the reference first, Deg. "
        "without pairs below one degree, FID against statistics only",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="of the confidence intervals")

    files = parser.add_argument_group("statistics and networks", "networks: default is the user's cache")
    files.add_argument("--niqe-statistics", type=Path, metavar="FILE.npz", help="parameters of the NIQE release")
    files.add_argument(
        "--fid-statistics", type=Path, metavar="FILE.npz", help="mu and sigma of a data set, for fid_statistics"
    )
    files.add_argument(
        "--identity-net", type=Path, metavar="FILE.onnx", help="identity embeddings instead of FaceNet's and ArcFace's"
    )
    files.add_argument("--landmark-net", type=Path, metavar="FILE.onnx", help="landmarks instead of AWing's")
    for name in ("identity", "landmark"):
        files.add_argument(
            f"--{name}-range",
            choices=("-1..1", "0..1", "0..255"),
            help=f"what the {name} net takes; default: what its file says, else -1..1 (which needs = before it)",
        )
        files.add_argument(
            f"--{name}-crop",
            type=_crop,
            metavar="L,T,R,B",
            help="what it sees, as fractions of the picture; default: what its file says, else all",
        )
    for name in _NETWORK_FILES:
        files.add_argument(f"--{name}", type=Path, metavar="FILE", help="its weights")
    files.add_argument("--codes", type=Path, metavar="RUN_DIR", help="run of VQFR whose codebook's usage is measured")

    _add_resize(parser)

    results = parser.add_argument_group("results")
    results.add_argument("--output", type=Path, metavar="FILE.json", help="write the whole report")
    results.add_argument(
        "--table",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.tex|FILE.md",
        help="write the methods' table for LaTeX or Markdown; may be repeated",
    )
    results.add_argument(
        "--html", type=Path, metavar="FILE.html", help="write a page with curves, rows and the worst pictures"
    )
    _add_overwrite(results)


def run_evaluate(arguments: argparse.Namespace) -> Failures:
    """Run `evaluate`; returns what could not be read, computed or written."""
    for path in arguments.table:
        if path.suffix not in (".tex", ".md"):
            raise ConfigError(f"--table {printable(path)}: expected a name ending in .tex or .md")
    restored = _methods(arguments.restored)

    from rethink_fr.workflows.evaluate import Sources, evaluate

    networks: Dict[str, Path] = {
        name.replace("-", "_"): vars(arguments)[name.replace("-", "_")] for name in _NETWORK_FILES
    }
    sources = Sources(
        niqe_statistics=arguments.niqe_statistics,
        fid_statistics=arguments.fid_statistics,
        identity_net=arguments.identity_net,
        landmark_net=arguments.landmark_net,
        codes=arguments.codes,
        features=arguments.features,
        identity_range=arguments.identity_range,
        identity_crop=arguments.identity_crop,
        landmark_range=arguments.landmark_range,
        landmark_crop=arguments.landmark_crop,
        **networks,
    )
    outputs = _evaluation_outputs(arguments, restored, sources)
    report = evaluate(
        restored,
        arguments.reference,
        arguments.degraded,
        arguments.identities,
        None if arguments.metrics is None else [name.strip() for name in arguments.metrics.split(",") if name.strip()],
        arguments.protocol,
        sources,
        arguments.k,
        arguments.seed,
        arguments.resize,
    )
    print("\n".join(report.table()))
    if report.left_out:
        left_out = ", ".join(name for name, _ in report.left_out)
        print(f"left out: {left_out}; ask for one with --metrics to see what it needs")
    return [*report.missing, *report.failed, *_write_evaluation(report, arguments, outputs)]


def _evaluation_outputs(arguments: argparse.Namespace, methods: Mapping[str, Path], sources: Sources) -> Outputs:
    """The outputs of `evaluate`, claimed: none is an input, or there already, or cannot be written."""
    wanted = [
        ("--output", arguments.output),
        ("--html", arguments.html),
        *(("--table", one) for one in arguments.table),
    ]
    claims = [(option, path) for option, path in wanted if path is not None]
    if not claims:
        return Outputs(())

    from rethink_fr.workflows.evaluate import input_files

    inputs = input_files(methods, arguments.reference, arguments.degraded, arguments.identities, sources)
    return _claimed(Outputs(inputs, arguments.overwrite), claims)


def _write_evaluation(report: EvaluationReport, arguments: argparse.Namespace, outputs: Outputs) -> Failures:
    """Write what was asked for. One file that cannot be written does not keep the others from being so."""
    from rethink_fr.workflows.evaluation_page import evaluation_page
    from rethink_fr.workflows.evaluation_tables import table_text

    failed: Failures = []
    if arguments.output:
        write = functools.partial(outputs.write_json, arguments.output, report.as_json())
        failed += _written("definitions and a row for each image", arguments.output, write)
    for path in arguments.table:
        failed += _written("table", path, functools.partial(outputs.write_text, path, table_text(report, path)))
    if arguments.html:
        write = functools.partial(outputs.write_bytes, arguments.html, evaluation_page(report))
        failed += _written("page", arguments.html, write)
    return failed


def _claimed(outputs: Outputs, claims: Iterable[Tuple[str, Path]]) -> Outputs:
    """`outputs` with these files, (option, path), claimed for after the work."""
    for option, path in claims:
        outputs.claim_writable(path, option)
    return outputs


def _written(what: str, path: Path, write: Callable[[], None]) -> Failures:
    """Call `write` and say so; or why it failed, after work that should not be lost for it."""
    shown = printable(path)
    try:
        write()
    except WriteError as error:
        return [(shown, str(error).replace(f"{shown}: ", "", 1))]
    print(f"{what}: {shown}")
    return []


def _add_resize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resize",
        nargs="?",
        type=_resize,
        const="reference",
        metavar="PIXELS",
        help="make all pictures squares of PIXELS; without a number, give those of unequal sizes that of their "
        "reference. By Lanczos, of the central square, as restore and train make theirs",
    )


def _resize(text: str) -> Union[int, str]:
    if text == "reference":  # what argparse passes for the option without a number
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of pixels, or nothing") from None


def _add_overwrite(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")


def _crop(text: str) -> Tuple[float, float, float, float]:
    numbers = [float(number) for number in text.split(",")]
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text}: expected four numbers, left,top,right,bottom")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """What `study make` and `study tally` take."""
    verbs = parser.add_subparsers(metavar="make|tally", required=True)
    make = verbs.add_parser(
        "make",
        help="write a page of blind comparisons, and its key",
        description="Write a page of blind comparisons, and its key: send the page to raters, keep the key.",
        epilog="example: rethink-fr study make --restored Ours=ours VQFR=vqfr --reference clean --degraded degraded "
        "--output study.html --key key.json",
    )
    make.add_argument("--restored", required=True, nargs="+", action="extend", metavar="NAME=DIR", help="the methods")
    make.add_argument("--reference", required=True, type=Path, metavar="DIR")
    make.add_argument("--degraded", required=True, type=Path, metavar="DIR")
    make.add_argument("--output", required=True, type=Path, metavar="FILE.html", help="the page, for the raters")
    make.add_argument("--key", required=True, type=Path, metavar="FILE.json", help="which method is where, for tally")
    make.add_argument("--trials", type=int, metavar="N", help="images chosen at random; default: all")
    make.add_argument("--question", metavar="TEXT", help="what the raters are asked")
    make.add_argument("--lossless", action="store_true", help="PNG instead of JPEG of quality 95")
    make.add_argument("--seed", type=int, default=0, metavar="K", help="of choice and orders")
    _add_resize(make)
    _add_overwrite(make)
    make.set_defaults(verb=_make_study)
    tally = verbs.add_parser(
        "tally",
        help="count the answers",
        description="Count the answers, and correlate metrics with them.",
        epilog="example: rethink-fr study tally --key key.json answers-*.json --evaluation report.json",
    )
    tally.add_argument("answers", nargs="+", type=Path, metavar="ANSWERS.json", help="what the raters' pages saved")
    tally.add_argument("--key", required=True, type=Path, metavar="FILE.json", help="what make wrote beside the page")
    tally.add_argument(
        "--evaluation",
        type=Path,
        action="append",
        default=[],
        metavar="REPORT.json",
        help="of evaluate --restored NAME=DIR ... --output, for rank correlations; may be repeated",
    )
    tally.add_argument("--seed", type=int, default=0, metavar="K", help="of the bootstrap")
    tally.add_argument("--output", type=Path, metavar="FILE.json", help="write all figures")
    _add_overwrite(tally)
    tally.set_defaults(verb=_tally_study)


def run_study(arguments: argparse.Namespace) -> Failures:
    """Run `study make` or `study tally`; returns the files that could not be used."""
    return arguments.verb(arguments)


def _make_study(arguments: argparse.Namespace) -> Failures:
    methods = _methods(arguments.restored)

    from rethink_fr.workflows.study import QUESTION, make_study

    key = make_study(
        methods,
        arguments.reference,
        arguments.degraded,
        arguments.output,
        arguments.key,
        arguments.trials,
        arguments.seed,
        arguments.question or QUESTION,
        arguments.lossless,
        arguments.resize,
        arguments.overwrite,
    )
    print(f"{len(key.trials)} trials of {len(key.methods)} methods: {printable(arguments.output)}, for the raters")
    print(f"which method is where: {printable(arguments.key)}; keep it from them")
    return []


def _tally_study(arguments: argparse.Namespace) -> Failures:
    from rethink_fr.workflows.study_tally import tally_study

    claims = [("--output", arguments.output)] if arguments.output else []
    inputs = [arguments.key, *arguments.answers, *arguments.evaluation]
    outputs = _claimed(Outputs(inputs, arguments.overwrite), claims)
    tally = tally_study(arguments.key, arguments.answers, arguments.evaluation, arguments.seed)
    print("\n".join(tally.table()))
    failed = list(tally.failed)
    if arguments.output:
        write = functools.partial(outputs.write_json, arguments.output, asdict(tally))
        failed += _written("all figures", arguments.output, write)
    return failed


def _methods(folders: Sequence[str]) -> Dict[str, Path]:
    """`NAME=DIR NAME=DIR` by name; a single DIR is called "restored"."""
    if len(folders) == 1 and ("=" not in folders[0] or Path(folders[0]).is_dir()):
        return {"restored": Path(folders[0])}
    methods: Dict[str, Path] = {}
    for given in folders:
        name, equals, folder = given.partition("=")
        if not equals or not name.strip() or not folder:
            raise ConfigError(f"--restored {printable(given)}: expected NAME=DIR for each of several methods")
        if name in methods:
            raise ConfigError(
                f"--restored {printable(given)}: there is a method of that name before it; choose another name"
            )
        methods[name] = Path(folder)
    return methods
