"""`rethink-fr weights` lists, fetches and verifies the published weights of the networks that `evaluate` measures with.

    rethink-fr weights fetch inception lpips-vgg

`list` names each file with its licence and says whether it is there; `verify` compares checksums.
"""

from __future__ import annotations

import argparse

from rethink_fr.errors import OK, report_failures

NAME = "weights"
SUMMARY = "list, fetch or verify the published weights of the networks that `evaluate` measures with"
EXAMPLE = "rethink-fr weights fetch inception lpips-vgg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("list", "fetch", "verify"))
    parser.add_argument("name", nargs="*", metavar="NAME", help="see list; verify: all that are there")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for, and print a line for each file."""
    from rethink_fr.weights.fetching import fetch_weights, list_weights, verify_weights

    if arguments.action == "list":
        print("\n".join(list_weights()))
        return OK
    report = (fetch_weights if arguments.action == "fetch" else verify_weights)(arguments.name)
    for line in report.done:
        print(line)
    if not report.done and not report.failed:
        print("nothing was fetched yet")
    return report_failures(report.failed)
