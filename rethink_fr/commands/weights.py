"""`rethink-fr weights`: list, fetch and verify published weights."""

from __future__ import annotations

import argparse

from rethink_fr.commands.outcome import OK, report_failures

NAME = "weights"
SUMMARY = "list, fetch or verify the published weights of the networks that `evaluate` measures with"
EXAMPLE = "rethink-fr weights fetch inception lpips-vgg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("action", choices=("list", "fetch", "verify"))
    parser.add_argument("name", nargs="*", metavar="NAME", help="see list; verify: all that are there")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
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
