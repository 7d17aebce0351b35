"""`rethink-fr study` asks people which method they prefer: it makes a page of comparisons, and counts the answers.

    rethink-fr study make --help

`study make` writes a web page for the raters and a key for you. `study tally` counts the files of answers that the page
saves, and correlates metrics with them.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import asdict
from pathlib import Path

from rethink_fr.commands.arguments import add_overwrite, add_resize, methods
from rethink_fr.commands.outcome import Failures, claimed, written
from rethink_fr.errors import report_failures
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs

NAME = "study"
SUMMARY = "ask people which method they prefer: blind comparisons as a web page, and their tally"
EXAMPLE = "rethink-fr study make --help"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    verbs = parser.add_subparsers(metavar="make|tally", required=True)
    make = verbs.add_parser(
        "make",
        help="write a page of blind comparisons, and its key",
        description="Write a page of blind comparisons, and its key: send the page to raters, keep the key.",
        epilog="example: rethink-fr study make --restored Ours=ours VQFR=vqfr --reference clean --degraded degraded "
        "--output study.html --key key.json",
    )
    make.add_argument("--restored", required=True, nargs="+", action="extend", metavar="NAME=DIR", help="the methods")
    make.add_argument("--reference", type=Path, metavar="DIR", help="without it, the page shows no ground truth")
    make.add_argument("--degraded", required=True, type=Path, metavar="DIR")
    make.add_argument("--output", required=True, type=Path, metavar="FILE.html", help="the page, for the raters")
    make.add_argument("--key", required=True, type=Path, metavar="FILE.json", help="which method is where, for tally")
    make.add_argument("--trials", type=int, metavar="N", help="images chosen at random; default: all")
    make.add_argument(
        "--question",
        action="append",
        metavar="TEXT",
        help="what the raters are asked; may be repeated; default: identity, realism, detail and artefacts, our "
        "reading of the paper's four criteria",
    )
    make.add_argument("--lossless", action="store_true", help="PNG instead of JPEG of quality 95")
    make.add_argument("--seed", type=int, default=0, metavar="K", help="of choice and orders")
    add_resize(make)
    add_overwrite(make, "files that are there already")
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
    add_overwrite(tally, "files that are there already")
    tally.set_defaults(verb=_tally_study)


def run(arguments: argparse.Namespace) -> int:
    """Make or tally a study, and list what could not be written or read."""
    return report_failures(arguments.verb(arguments))


def _make_study(arguments: argparse.Namespace) -> Failures:
    compared = methods(arguments.restored)

    from rethink_fr.evaluation.study.making import make_study

    key = make_study(
        compared,
        arguments.reference,
        arguments.degraded,
        arguments.output,
        arguments.key,
        arguments.trials,
        arguments.seed,
        arguments.question,
        arguments.lossless,
        arguments.resize,
        arguments.overwrite,
    )
    print(f"{len(key.trials)} trials of {len(key.methods)} methods: {printable(arguments.output)}, for the raters")
    print(f"which method is where: {printable(arguments.key)}; keep it from them")
    return []


def _tally_study(arguments: argparse.Namespace) -> Failures:
    from rethink_fr.evaluation.study.tally import tally_study

    claims = [("--output", arguments.output)] if arguments.output else []
    inputs = [arguments.key, *arguments.answers, *arguments.evaluation]
    outputs = claimed(Outputs(inputs, arguments.overwrite), claims)
    tally = tally_study(arguments.key, arguments.answers, arguments.evaluation, arguments.seed)
    print("\n".join(tally.table()))
    failed = list(tally.failed)
    if arguments.output:
        write = functools.partial(outputs.write_json, arguments.output, asdict(tally))
        failed += written("all figures", arguments.output, write)
    return failed
