"""`rethink-fr runs` compares runs: how far each is, how well it restores, how fast it goes, and in what they differ.

    rethink-fr runs runs/a runs/b

It reads what the runs have recorded, and neither waits for a run that is trained meanwhile nor disturbs it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rethink_fr.errors import report_failures

NAME = "runs"
SUMMARY = "compare runs: steps, state, validation figures, speed and settings"
EXAMPLE = "rethink-fr runs runs/a runs/b"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or one that holds some"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or JSON; list folders that hold no run."""
    from rethink_fr.runs.comparison import compare, find_runs

    found, failed = find_runs(arguments.folders)
    comparison = compare(found)
    if arguments.json:
        print(json.dumps(comparison.as_json(), indent=1))
    elif found:
        print("\n".join(comparison.as_lines()))
    return report_failures([*failed, *comparison.failed])
