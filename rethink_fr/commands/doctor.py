"""`rethink-fr doctor` looks before a long run for what would stop it or slow it down.

    rethink-fr doctor --config rethink_512 --output runs/faces --set data.train=photos/

It checks devices, libraries, memory, disk, pictures, weights and the clock, takes a few real steps in a process of its
own, and prints a row for each check. Nothing stays in the run's folder. The exit code is 1 if something fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rethink_fr.commands.arguments import add_settings
from rethink_fr.config.sections import Experiment
from rethink_fr.errors import FAILED, OK

NAME = "doctor"
SUMMARY = "look for what would stop or slow down a long run"
EXAMPLE = "rethink-fr doctor --config rethink_512 --output runs/faces --set data.train=photos/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: those of `train`, and `--json`."""
    parser.add_argument(
        "--config", metavar="FILE_OR_NAME", help="default: that of the run in --output, else quickstart"
    )
    parser.add_argument(
        "--strategy", choices=("one", "mirrored"), default="one", help="one device, or all GPUs of this machine"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run's directory; default: runs/CONFIG")
    parser.add_argument("--init", type=Path, metavar="RUN_DIR", help="the run that this one starts from")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, with all numbers")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, print a row for each check, and say by the exit code whether anything fails."""
    output = arguments.output or Path("runs") / Path(arguments.config or "quickstart").stem
    config = _config(arguments, output)

    from rethink_fr.doctor.checks import examine
    from rethink_fr.doctor.findings import as_lines

    findings = examine(config, arguments.strategy, output, lambda what: print(f"{what} ...", file=sys.stderr))
    failed = sum(one.state == "fails" for one in findings)
    if arguments.json:
        print(json.dumps({"ok": not failed, "checks": [one._asdict() for one in findings]}, indent=1))
    else:
        print("\n".join(as_lines(findings)))
        print(f"{failed} of {len(findings)} checks fail" if failed else "nothing here would stop the run")
    return FAILED if failed else OK


def _config(arguments: argparse.Namespace, output: Path) -> Experiment:
    """The configuration, as `train` would have it. Files that it names are looked at later."""
    from rethink_fr.files.addresses import address
    from rethink_fr.files.reading import file_size
    from rethink_fr.runs.config_file import load_config
    from rethink_fr.runs.folder import CONFIG

    begun = file_size(output / CONFIG) is not None
    name = arguments.config or (output / CONFIG if begun else "quickstart")
    init = [] if arguments.init is None else [f"training.init={json.dumps(address(arguments.init))}"]
    return load_config(name, [*init, *arguments.set])
