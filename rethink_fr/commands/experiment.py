"""`rethink-fr experiment` repeats an experiment of a paper: its variants, trained, measured and compared.

    rethink-fr experiment smallest --output runs/experiments/smallest

What is done already is not done again: the same call continues after an interruption, and several calls share the work.
It ends with the paper's table in Markdown, LaTeX and JSON, and a page with curves and pictures.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from rethink_fr.commands.arguments import add_settings, names
from rethink_fr.commands.evaluate import add_networks, sources_of
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import AGAIN, FAILED, OK
from rethink_fr.files.names import printable

if TYPE_CHECKING:
    from rethink_fr.experiments.plan import Plan

NAME = "experiment"
SUMMARY = "repeat an experiment of a paper: train its variants, measure and compare them"
EXAMPLE = "rethink-fr experiment smallest --output runs/experiments/smallest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("experiment", nargs="?", metavar="NAME_OR_FILE", help="of configs/experiments, or a .yaml file")
    parser.add_argument("--list", action="store_true", help="say which experiments there are")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--miniature", action="store_true", help="the same experiment at a size for two CPU cores")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: runs/experiments/NAME")
    parser.add_argument("--train", metavar="FOLDER", help="training pictures; default: drawn faces")
    parser.add_argument("--test", metavar="FOLDER", help="clean test pictures, of other people; default: drawn faces")
    parser.add_argument(
        "--identities",
        type=Path,
        metavar="CSV",
        help="who is on each test picture: name,identity",
    )
    parser.add_argument("--seeds", metavar="K,K,...", help="work on these seeds only")
    parser.add_argument("--variants", metavar="A,B,...", help="work on these variants only")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="train or measure so many at once; default: %(default)s"
    )
    parser.add_argument(
        "--strategy", choices=("one", "mirrored"), default="one", help="of train: one device, or all GPUs"
    )
    parser.add_argument(
        "--metrics", metavar="A,B,...", help="instead of those of the file; one that cannot be computed is a failure"
    )
    parser.add_argument(
        "--publish", type=Path, metavar="DIR", help="write the table to DIR/NAME.md and DIR/NAME.json, too"
    )
    add_settings(parser)
    add_networks(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what is left of the experiment, write its tables and page, and list what failed."""
    if arguments.list:
        return _list()
    plan = _plan(arguments)
    seeds = None if arguments.seeds is None else [_seed(one) for one in names(arguments.seeds)]
    cells = plan.chosen(seeds, None if arguments.variants is None else names(arguments.variants))
    if arguments.plan:
        print("\n".join(plan.as_lines()))
        return OK
    if arguments.processes < 1:
        raise ConfigError(f"--processes: expected 1 or more, got {arguments.processes}")

    from rethink_fr.experiments.children import Stop, Stopped
    from rethink_fr.experiments.faces import check_faces, make_faces
    from rethink_fr.experiments.folder import Folder
    from rethink_fr.experiments.output import write_results
    from rethink_fr.experiments.work import work

    check_faces(plan.options)
    plan.options.sources.loaders()  # names a file that was given and is not there
    folder, stop = Folder(plan.options.output), Stop()
    folder.begin(plan)
    before = stop.listen()
    stopped = False
    try:
        for name, reason in make_faces(plan, folder, stop):
            print(f"rethink-fr: note: {printable(name)}: {printable(reason)}", file=sys.stderr)
        work(plan, folder, cells, stop, arguments.processes)
    except Stopped:
        stopped = True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
    if stopped:
        print("stopped; run the same command again to continue", file=sys.stderr)
        return AGAIN if stop.signal == signal.SIGTERM else FAILED
    return write_results(plan, folder, cells, _command(arguments, plan), arguments.publish)


def _list() -> int:
    from rethink_fr.evaluation.report.tables import aligned
    from rethink_fr.experiments.definition import available_experiments, experiment_path, load_definition

    rows = []
    for name in available_experiments():
        definition = load_definition(experiment_path(name))
        rows.append([name, definition.title, definition.source])
    print("\n".join(aligned([["name", "title", "source"], *rows])))
    return OK


def _plan(arguments: argparse.Namespace) -> Plan:
    from rethink_fr.evaluation.choosing import named_metrics
    from rethink_fr.experiments.definition import experiment_path, load_definition
    from rethink_fr.experiments.plan import Options, make_plan

    if arguments.experiment is None:
        raise ConfigError("expected the name of an experiment or its file; `rethink-fr experiment --list` names them")
    path = experiment_path(arguments.experiment)
    name = path.stem + ("_miniature" if arguments.miniature else "")
    metrics: Optional[Tuple[str, ...]] = None
    if arguments.metrics is not None:
        metrics = tuple(names(arguments.metrics))
        named_metrics(metrics, "ours")
    options = Options(
        output=arguments.output or Path("runs/experiments") / name,
        train=arguments.train or "",
        test=arguments.test or "",
        identities=arguments.identities,
        set=tuple(arguments.set),
        strategy=arguments.strategy,
        metrics=metrics,
        sources=sources_of(arguments),
    )
    return make_plan(name, load_definition(path, arguments.miniature), options)


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"--seeds {printable(text)}: expected whole numbers") from None


def _command(arguments: argparse.Namespace, plan: Plan) -> List[str]:
    """What followed `rethink-fr`, without what only says how the work is shared out."""
    from rethink_fr.experiments.plan import source_options

    found = ["experiment", arguments.experiment]
    if arguments.miniature:
        found.append("--miniature")
    for option in ("output", "train", "test", "identities", "metrics"):
        value = getattr(arguments, option)
        found += [f"--{option}", str(value)] if value is not None else []
    found += [part for one in arguments.set for part in ("--set", one)]
    return [*found, *source_options(plan.options.sources)]
