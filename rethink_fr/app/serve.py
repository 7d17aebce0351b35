"""Serves the page until the user interrupts, and removes every file of its visitors afterwards."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from rethink_fr.app.desk import MAX_BYTES, Desk
from rethink_fr.faces.face import Detector

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TIDY_EVERY = 60.0  # seconds

# Read by Gradio when it is imported or asks: nothing is told to anybody, and nothing but what is said here is done.
_SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "GRADIO_ROOT_PATH": "",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "NO_PROXY": "*",  # Gradio asks its own server whether it is there
    "no_proxy": "*",
}


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at, before anything is loaded.

    Raises:
        ValueError: saying what to do.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot listen at {host}, port {port} ({error.strerror or error}); choose another --port or --host"
        ) from None


def serve(
    restorer: LoadedRestorer, detector: Detector, model: str, host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Serve the page until SIGINT (Ctrl-C) or SIGTERM.

    Args:
        restorer: see `load_restorer`.
        detector: see `open_detector`.
        model: the restorer's name.
        host: address to listen at; `127.0.0.1` is reached from this machine alone.
        port: to listen at.
        ready: called with the page's address once it can be opened.

    Raises:
        ValueError: as `check_port`.
    """
    check_port(host, port)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with tempfile.TemporaryDirectory(prefix="rethink-fr-app-") as name:
        folder = Path(os.path.realpath(name))
        desk = Desk(restorer, detector, model, folder)
        os.environ.update(_SETTINGS, GRADIO_TEMP_DIR=str(desk.uploads), GRADIO_EXAMPLES_CACHE=str(folder / "examples"))
        from starlette.middleware import Middleware

        from rethink_fr.app.gate import Gate
        from rethink_fr.app.page import build, theme

        gate = Middleware(
            Gate,
            uploads=desk.uploads,
            results=desk.results,
            largest=MAX_BYTES,
            local=host in LOOPBACK,
            full=desk.full,
        )
        page = build(desk)
        named = f"[{host}]" if ":" in host else host  # as in an address
        page.launch(
            server_name=named,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            mcp_server=False,
            ssr_mode=False,
            pwa=False,
            show_error=True,
            max_file_size=MAX_BYTES,
            allowed_paths=[str(desk.results)],
            app_kwargs={"middleware": [gate], "docs_url": None, "redoc_url": None, "openapi_url": None},
            theme=theme(),
        )
        try:
            ready(f"http://{named}:{port}")
            while not stopped.wait(_TIDY_EVERY):
                desk.tidy()
        finally:
            page.close(verbose=False)
