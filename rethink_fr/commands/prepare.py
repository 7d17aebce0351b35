"""`rethink-fr prepare` turns a folder of images into TFRecord files for training, or verifies such files.

    rethink-fr prepare photos/ --output records --size 512

Every image is decoded, made square and resized once, so that training reads it quickly. An image that cannot be read is
listed and left out. `prepare records --verify` checks files that were made before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_runner
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import report_failures
from rethink_fr.files.names import printable

NAME = "prepare"
SUMMARY = "turn a folder of images into validated TFRecord files for training"
EXAMPLE = "rethink-fr prepare photos/ --output records --size 512"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", type=Path, metavar="INPUT_DIR")
    parser.add_argument("--output", type=Path, metavar="DIR", help="needed, unless --verify is given")
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS")
    parser.add_argument(
        "--verify", action="store_true", help="INPUT_DIR is a prepared folder: check its files and every image in them"
    )
    add_runner(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prepare or verify the images, and list those that could not be used."""
    if arguments.verify:
        from rethink_fr.data.verify_prepared import verify_prepared

        verified = verify_prepared(arguments.input)
        whole = "" if verified.wrong else ", all of them whole"
        print(f"{verified.records} images in {verified.shards} shards{whole}: {printable(arguments.input)}")
        return report_failures(verified.wrong)
    if arguments.output is None:
        raise ConfigError("prepare: --output DIR is missing; it is needed unless --verify is given")

    from rethink_fr.data.prepare import prepare

    if arguments.runner is None:
        report = prepare(arguments.input, arguments.output, arguments.size)
    else:
        from rethink_fr.scale_out.runners import require_beam

        require_beam(arguments.runner)
        from rethink_fr.scale_out.preparing import prepare_by_pipeline

        how = (arguments.runner, arguments.runner_options)
        report = prepare_by_pipeline(arguments.input, arguments.output, arguments.size, *how)
    print(f"{report.written} images in {report.shards} shards: {printable(report.output)}")
    if report.enlarged:
        print(f"{report.enlarged} of them were smaller than {arguments.size} px and had to be enlarged")
    return report_failures(report.unreadable)
