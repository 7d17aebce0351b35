"""`rethink-fr app` serves a page for trying restoration in a browser.

    rethink-fr app --model runs/faces --port 7860

Only this machine reaches it unless `--host` says otherwise. Photos are kept for an hour at most, in a folder that is
removed at the end.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from rethink_fr.config.checks import ConfigError
from rethink_fr.errors import OK, install_advice
from rethink_fr.files.addresses import address

NAME = "app"
SUMMARY = "serve a page for trying restoration in a browser"
EXAMPLE = "rethink-fr app --model runs/faces --port 7860"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("mini128"),
        metavar="RUN_OR_SAVED_MODEL",
        help="directory made by train or export, the name of a run in runs/, or a model of the package; "
        "default: %(default)s",
    )
    parser.add_argument("--port", type=int, default=7860, metavar="P", help="default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="0.0.0.0: whoever reaches this machine may use the page; default: %(default)s, this machine alone",
    )
    parser.add_argument("--detector", type=Path, metavar="FILE.onnx", help="RetinaFace or YuNet, for MTCNN")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the user interrupts."""
    if not 1 <= arguments.port <= 65535:
        raise ConfigError(f"--port: expected 1 to 65535, got {arguments.port}")
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(f"the page needs the package gradio, which is not installed; {install_advice('app')}")
    from rethink_fr.app.serve import LOOPBACK, check_port, serve
    from rethink_fr.faces.opening import check_detector, open_detector

    check_detector(arguments.detector)
    check_port(arguments.host, arguments.port)

    from rethink_fr.inference.loading import load_restorer

    def ready(place: str) -> None:
        print(f"the page is at {place} (Ctrl-C ends it)", flush=True)
        if arguments.host not in LOOPBACK:
            print("whoever reaches this machine may use it: there is no password", flush=True)

    serve(
        load_restorer(arguments.model),
        open_detector(arguments.detector),
        address(arguments.model),
        arguments.host,
        arguments.port,
        ready,
    )
    return OK
