"""`rethink-fr evaluate statistics` writes the statistics of a folder's features, which FID is computed against.

    rethink-fr evaluate statistics ffhq512 --output ffhq512.npz

`evaluate --fid-statistics ffhq512.npz` takes them, and so do pytorch-fid and others: they are in their form.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from rethink_fr.commands.arguments import add_overwrite
from rethink_fr.commands.outcome import Failures, claimed, written
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs

if TYPE_CHECKING:
    VerbParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_verb(verbs: VerbParsers) -> None:
    """Declare the verb and its arguments."""
    parser = verbs.add_parser(
        "statistics",
        help="write mean and covariance of a folder's Inception features, for --fid-statistics",
        description="Write mean and covariance of the Inception features of a folder, for evaluate --fid-statistics.",
        epilog="example: rethink-fr evaluate statistics ffhq512 --output ffhq512.npz",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="pictures at any depth")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.npz", help="mu, sigma, number of pictures")
    parser.add_argument("--inception", type=Path, metavar="FILE", help="its weights; default: in the user's cache")
    parser.add_argument(
        "--resize",
        type=int,
        metavar="PIXELS",
        help="make all pictures squares of PIXELS first, as evaluate --resize PIXELS does",
    )
    add_overwrite(parser, "the file if it is there already")
    parser.set_defaults(verb=write_statistics)


def write_statistics(arguments: argparse.Namespace) -> Failures:
    """Compute and write the statistics; returns the pictures that could not be used."""
    from rethink_fr.evaluation.evaluate import input_files
    from rethink_fr.evaluation.fid_statistics import fid_statistics, statistics_file
    from rethink_fr.evaluation.needs import Sources

    sources = Sources(inception=arguments.inception)
    inputs = input_files({"folder": arguments.folder}, None, None, None, sources)
    outputs = claimed(Outputs(inputs, arguments.overwrite), [("--output", arguments.output)])
    network = sources.loaders()["inception"]()
    moments, failed = fid_statistics(arguments.folder, network, arguments.resize)
    write = functools.partial(outputs.write_bytes, arguments.output, statistics_file(moments))
    what = f"statistics of {moments.count} pictures in {printable(arguments.folder)} by {network.name}"
    return [*failed, *written(what, arguments.output, write)]
