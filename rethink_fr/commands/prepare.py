"""`rethink-fr prepare` turns folders or archives of images into TFRecord files for training, or verifies such files.

    rethink-fr prepare photos/ --output records --size 512

Every image is decoded, made square and resized once, so that training reads it quickly. An image that cannot be read is
listed and left out, and named with the reason in `manifest.json`. What was killed goes on by the same command. `prepare
records --verify` checks files that were made before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rethink_fr.commands.arguments import add_runner
from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import report_failures
from rethink_fr.files.names import printable

NAME = "prepare"
SUMMARY = "turn folders or archives of images into validated TFRecord files for training"
EXAMPLE = "rethink-fr prepare photos/ --output records --size 512"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", type=Path, metavar="INPUT_DIR", help="a folder of images, a .zip or a .tar")
    parser.add_argument("--output", type=Path, metavar="DIR", help="needed, unless --verify is given")
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS")
    parser.add_argument(
        "--verify", action="store_true", help="INPUT_DIR is a prepared folder: check its files and every image in them"
    )
    parser.add_argument("--align", action="store_true", help="photos: take the largest face of each, framed as in FFHQ")
    parser.add_argument(
        "--columns", type=Path, metavar="CSV", help="who is on each picture, landmarks: name,identity,nose_x,nose_y,..."
    )
    parser.add_argument(
        "--folder-identities", action="store_true", help="who is on a picture is the name of its folder"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes; default: by the number of pictures"
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

    if arguments.workers < 0:
        raise ConfigError(f"--workers {arguments.workers}: expected 1 or more, or 0 to choose it")
    if arguments.runner is None:
        from rethink_fr.data.prepare import prepare

        report = prepare(
            arguments.input,
            arguments.output,
            arguments.size,
            align=arguments.align,
            columns=arguments.columns,
            folder_identities=arguments.folder_identities,
            processes=arguments.workers,
        )
    else:
        from rethink_fr.scale_out.runners import require_beam

        for option in ("align", "columns", "folder_identities", "workers"):
            if getattr(arguments, option):
                raise ConfigError(f"--{option.replace('_', '-')}: not with --runner; leave one of the two out")
        require_beam(arguments.runner)
        from rethink_fr.scale_out.preparing import prepare_by_pipeline

        how = (arguments.runner, arguments.runner_options)
        report = prepare_by_pipeline(arguments.input, arguments.output, arguments.size, *how)
    print(f"{report.written} images in {report.shards} shards: {printable(report.output)}")
    if report.enlarged:
        print(f"{report.enlarged} of them were smaller than {arguments.size} px and had to be enlarged")
    return report_failures(report.unreadable)
