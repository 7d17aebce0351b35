"""`rethink-fr build-ops`: compile the native operators."""

from __future__ import annotations

import argparse
import sys

from rethink_fr.commands.outcome import OK, SOME_FAILED

NAME = "build-ops"
SUMMARY = "build the native operators for this machine, unless they are there, and try them"
EXAMPLE = "rethink-fr build-ops"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--force", action="store_true", help="build again what was built on this machine")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from rethink_fr.ops.trial import NativeOpsError, build_ops

    try:
        report = build_ops(arguments.force)
    except NativeOpsError as error:
        print(f"rethink-fr: error: {error}", file=sys.stderr)
        return SOME_FAILED
    print(f"{', '.join(report.operators)}, {report.instruction_set} kernels: {report.origin}")
    print(f"{report.library}, ready after {report.seconds:.1f} s")
    if report.differences is None:
        print("RETHINK_FR_OPS=reference is set: they are not used")
    else:
        for name, difference in report.differences.items():
            print(f"{name}: differs from TensorFlow's own operations by at most {difference:.2g} of its largest value")
    return OK
