"""`rethink-fr build-ops` compiles the native operators for this machine and tries each of them.

    rethink-fr build-ops

Operators that are there already are only tried. Without native operators everything works, but more slowly.
"""

from __future__ import annotations

import argparse

from rethink_fr.errors import OK, RunFailure

NAME = "build-ops"
SUMMARY = "build the native operators for this machine, unless they are there, and try them"
EXAMPLE = "rethink-fr build-ops"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--force", action="store_true", help="build again what was built on this machine")


def run(arguments: argparse.Namespace) -> int:
    """Build and try the operators, and print what there is now."""
    from rethink_fr.ops.trial import NativeOpsError, build_ops

    try:
        report = build_ops(arguments.force)
    except NativeOpsError as error:
        raise RunFailure(str(error)) from None
    print(f"{', '.join(report.operators)}, {report.instruction_set} kernels: {report.origin}")
    print(f"{report.library}, ready after {report.seconds:.1f} s")
    if report.differences is None:
        print("RETHINK_FR_OPS=reference is set: they are not used")
    else:
        for name, difference in report.differences.items():
            print(f"{name}: differs from TensorFlow's own operations by at most {difference:.2g} of its largest value")
    return OK
