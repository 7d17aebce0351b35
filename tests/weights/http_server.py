"""A server of this machine that can do what real ones do: send parts, stop early, send something else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What is served, how, and what was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges = True  # whether parts are sent
        self.stop_after: int | None = None  # bytes of the body that are sent of the next answer
        self.status: int | None = None  # instead of the file
        self.asked: list[str | None] = []  # the Range header of each request
        self.url = ""


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Served]:
    served = Served(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Range")
            served.asked.append(given)
            if served.status:
                self.send_error(served.status)
                return
            start = int(given.removeprefix("bytes=").rstrip("-")) if given and served.ranges else 0
            if start >= len(served.content) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.end_headers()
                return
            body = served.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: served.stop_after])
            served.stop_after = None

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
