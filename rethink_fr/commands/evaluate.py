"""`rethink-fr evaluate` measures restored pictures, against their references of the same names if there are any.

    rethink-fr evaluate --restored restored --reference clean --degraded degraded --output report.json

It prints a table, and writes a report, tables and a figure for a paper, or a web page if asked to. Metrics that lack
something, a network's weights for instance, are left out unless they are asked for by name. `evaluate statistics`
writes the statistics of a folder that FID can be computed against.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Mapping, Sequence, Tuple

from rethink_fr.commands import evaluate_statistics
from rethink_fr.commands.arguments import add_overwrite, add_resize, add_runner, methods, names
from rethink_fr.commands.outcome import Failures, claimed, written
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import report_failures
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs
from rethink_fr.metrics.table import GROUPS, METRICS

if TYPE_CHECKING:
    from rethink_fr.evaluation.measuring import Measured
    from rethink_fr.evaluation.needs import Sources
    from rethink_fr.evaluation.report.contents import EvaluationReport

ROWS = 6  # of figure and page, if nothing else is asked for
_NETWORK_FILES = ("inception", "facenet", "arcface", "awing", "lpips-vgg", "lpips-alex")

NAME = "evaluate"
SUMMARY = "measure restored pictures, against their references of the same names if there are any"
EXAMPLE = "rethink-fr evaluate --restored restored --reference clean --degraded degraded --output report.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--restored",
        nargs="+",
        action="extend",
        metavar="[NAME=]DIR",
        help="one folder, or several methods side by side as NAME=DIR NAME=DIR ...; with one restoration of each "
        "picture, or its samples as `restore --samples` writes them",
    )
    parser.add_argument(
        "--reference", type=Path, metavar="DIR", help="without it, only what needs none: FID against statistics, NIQE"
    )
    parser.add_argument("--degraded", type=Path, metavar="DIR", help="measured too, for comparison")
    parser.add_argument(
        "--identities",
        type=Path,
        metavar="CSV",
        help="who is on each picture: name,identity; or a prepared folder, or CelebA's identity_CelebA.txt; or the "
        "word source: each source picture is an identity of its own",
    )
    parser.add_argument(
        "--identity-mapping",
        type=Path,
        metavar="FILE.txt",
        help="CelebA-HQ-to-CelebA-mapping.txt, if the pictures are of CelebA-HQ and the identities of CelebA",
    )
    parser.add_argument(
        "--metrics",
        metavar="A,B,...",
        help=f"of {', '.join(METRICS['ours'])}; {', '.join(GROUPS)} mean all of theirs; default: all that can be "
        "computed",
    )
    parser.add_argument("--k", type=int, default=4, help="neighbours of precision and recall; default: %(default)s")
    parser.add_argument(
        "--protocol",
        choices=tuple(METRICS),
        default="ours",
        help="vqfr: the basis of VQFR's tables: each channel's mean and deviation matched to the reference first, Deg. "
        "without pairs below one degree, FID against statistics only",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="of the confidence intervals")

    add_networks(parser)
    add_resize(parser)
    add_runner(parser).add_argument(
        "--work", type=Path, metavar="DIR", help="where it keeps what was measured; needed unless the runner is direct"
    )

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
        "--html", type=Path, metavar="FILE.html", help="write a page with curves, rows, chosen and the worst pictures"
    )
    results.add_argument(
        "--grid",
        type=Path,
        metavar="FILE.png",
        help="write a figure: a row for each chosen picture; degraded, as each method restored it, and clean",
    )
    results.add_argument(
        "--grid-images",
        nargs="+",
        default=[str(ROWS)],
        metavar="NAME",
        help="the pictures of figure and page, by name without ending; or how many, evenly spread; default: "
        "%(default)s",
    )
    add_overwrite(results, "files that are there already")
    parser.set_defaults(verb=None)
    evaluate_statistics.add_verb(parser.add_subparsers(metavar="[statistics]", title="another thing to do"))


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `evaluation.needs.Sources`: what metrics need beside pictures."""
    parser.add_argument(
        "--features",
        choices=("identity", "inception"),
        default="identity",
        help="of precision and recall: an identity network's (FaceNet, or --identity-net) or Inception's",
    )
    files = parser.add_argument_group("statistics and networks", "networks: default is the user's cache")
    files.add_argument("--niqe-statistics", type=Path, metavar="FILE.npz", help="parameters of the NIQE release")
    files.add_argument(
        "--fid-statistics",
        type=Path,
        metavar="FILE.npz|FILE.pth",
        help="of a data set, for fid_statistics: as `evaluate statistics` writes them (mu, sigma), or as they are "
        "published for FFHQ (inception_FFHQ_512-f7b384ab.pth: mean, cov)",
    )
    files.add_argument(
        "--identity-net", type=Path, metavar="FILE.onnx", help="identity embeddings instead of FaceNet's and ArcFace's"
    )
    files.add_argument("--landmark-net", type=Path, metavar="FILE.onnx", help="landmarks instead of AWing's")
    files.add_argument(
        "--perceptual-net",
        type=Path,
        metavar="FILE.npz",
        help="of perceptual and diversity: SqueezeNet 1.0 (.npz), VGG-19 (Keras' .h5), or the folder of a SavedModel",
    )
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


def sources_of(arguments: argparse.Namespace) -> Sources:
    """What the options of `add_networks` say."""
    from rethink_fr.evaluation.needs import Sources

    return Sources(**{field.name: getattr(arguments, field.name) for field in fields(Sources)})


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write what was asked for, and list what could not be measured or written."""
    if arguments.verb is not None:
        failures: Failures = arguments.verb(arguments)
        return report_failures(failures)
    if arguments.restored is None:
        raise ConfigError("--restored: is missing; expected a folder of restored pictures, or NAME=DIR NAME=DIR")
    if arguments.grid is not None and arguments.grid.suffix.lower() != ".png":
        raise ConfigError(f"--grid {printable(arguments.grid)}: expected a name ending in .png")
    for path in arguments.table:
        if path.suffix not in (".tex", ".md"):
            raise ConfigError(f"--table {printable(path)}: expected a name ending in .tex or .md")
    restored = methods(arguments.restored)
    _check_runner(arguments)

    from rethink_fr.evaluation.evaluate import evaluate
    from rethink_fr.evaluation.measuring import measure
    from rethink_fr.evaluation.report.tables import as_terminal

    sources = sources_of(arguments)
    outputs = _evaluation_outputs(arguments, restored, sources)
    measuring: Callable[..., Measured] = measure
    if arguments.runner is not None:
        from rethink_fr.scale_out.measuring import PipelineMeasuring

        how = (arguments.runner, arguments.runner_options, arguments.work)
        measuring = PipelineMeasuring(sources, arguments.protocol, *how)
    report = evaluate(
        restored,
        arguments.reference,
        arguments.degraded,
        arguments.identities,
        None if arguments.metrics is None else names(arguments.metrics),
        arguments.protocol,
        sources,
        arguments.k,
        arguments.seed,
        arguments.resize,
        measuring=measuring,
        mapping=arguments.identity_mapping,
    )
    print("\n".join(as_terminal(report)))
    if report.left_out:
        lacking = [name for name, _ in report.left_out]
        if arguments.reference is None:
            offered = METRICS[arguments.protocol]
            lacking = [name for name in lacking if "reference" not in offered[name].needs]
            print("without --reference, what compares with references is left out")
        if lacking:
            print(f"left out: {', '.join(_short(lacking))}; ask for one with --metrics to see what it needs")
    return report_failures([*report.missing, *report.failed, *_write_evaluation(report, arguments, outputs)])


def _check_runner(arguments: argparse.Namespace) -> None:
    if arguments.runner is None and arguments.work is not None:
        raise ConfigError("--work: is for --runner; leave it out")
    if arguments.runner is not None:
        from rethink_fr.scale_out.runners import require_beam

        require_beam(arguments.runner)
        if arguments.runner != "direct" and arguments.work is None:
            raise ConfigError("--work DIR: is needed with this --runner; expected a folder that all workers reach")


def _short(names: Sequence[str]) -> List[str]:
    """Names of metrics; a group of three or more of which all are there goes by its own name."""
    whole = {group: members for group, members in GROUPS.items() if len(members) > 2 and set(members) <= set(names)}
    of_member = {member: group for group, members in whole.items() for member in members}
    return list(dict.fromkeys(of_member.get(name, name) for name in names))


def _evaluation_outputs(arguments: argparse.Namespace, methods: Mapping[str, Path], sources: Sources) -> Outputs:
    """The outputs of `evaluate`, claimed: none is an input, or there already, or cannot be written."""
    wanted = [
        ("--output", arguments.output),
        ("--html", arguments.html),
        ("--grid", arguments.grid),
        *(("--table", one) for one in arguments.table),
    ]
    claims = [(option, path) for option, path in wanted if path is not None]
    if not claims:
        return Outputs(())

    from rethink_fr.evaluation.evaluate import input_files

    who = (arguments.identities, sources, arguments.identity_mapping)
    inputs = input_files(methods, arguments.reference, arguments.degraded, *who)
    return claimed(Outputs(inputs, arguments.overwrite), claims)


def _write_evaluation(report: EvaluationReport, arguments: argparse.Namespace, outputs: Outputs) -> Failures:
    """Write what was asked for. One file that cannot be written does not keep the others from being so."""
    from rethink_fr.evaluation.report.grid import chosen_rows, grid_picture
    from rethink_fr.evaluation.report.page import evaluation_page
    from rethink_fr.evaluation.report.tables import table_text

    failed: Failures = []
    if arguments.output:
        write = functools.partial(outputs.write_json, arguments.output, report.as_json())
        failed += written("definitions and a row for each image", arguments.output, write)
    for path in arguments.table:
        failed += written("table", path, functools.partial(outputs.write_text, path, table_text(report, path)))
    if not (arguments.html or arguments.grid):
        return failed
    chosen, unknown = chosen_rows(report, arguments.grid_images)
    failed += [(f"--grid-images {name}", reason) for name, reason in unknown]
    if arguments.html:
        write = functools.partial(outputs.write_bytes, arguments.html, evaluation_page(report, chosen))
        failed += written("page", arguments.html, write)
    if arguments.grid and chosen:
        write = functools.partial(outputs.write_bytes, arguments.grid, grid_picture(report, chosen))
        failed += written("figure", arguments.grid, write)
    return failed


def _crop(text: str) -> Tuple[float, float, float, float]:
    from rethink_fr.evaluation.networks.crops import parse_box

    try:
        return parse_box(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
