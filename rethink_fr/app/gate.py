"""What of Gradio's server the outside may reach: what the page needs, and nothing else.

Gradio serves much more than a page uses: it fetches addresses for others (`file=https://...`, `proxy=`, uploads by
address), keeps a list of what visitors did, and has an interface for programs. Here only a list of paths passes; files
only from the folder of results; and every answer tells the browser to ask no other host.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, Iterator, List, MutableMapping, Optional
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FILE, _UPLOAD, _JOIN = "/gradio_api/file=", "/gradio_api/upload", "/gradio_api/queue/join"
_GET = re.compile(
    r"/|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static)/[\w./-]+|"
    r"/gradio_api/(?:startup-events|queue/data|upload_progress|heartbeat/\w+)"
)
_POST = re.compile(r"/gradio_api/(?:upload|queue/join|cancel|reset/?)")
_LARGEST_CALL = 1 << 16  # bytes of a request that is no upload
_LOCAL = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    # Gradio's page has scripts in itself, and makes functions of texts.
    b"content-security-policy": b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


class Gate:
    """ASGI middleware; see the module's docstring.

    Args:
        app: what is guarded.
        uploads: the folder that uploads come to; calls may name files in it, and no others.
        results: the folder whose files are served.
        largest: bytes of an upload.
        local: whether the page is for this machine alone: then a page of another host that is made to lead here (DNS
            rebinding) is refused by the name that it asks for.
        full: tells whether there is no room for another upload.
    """

    def __init__(
        self, app: App, *, uploads: Path, results: Path, largest: int, local: bool, full: Callable[[], bool]
    ) -> None:
        self._app, self._uploads, self._results = app, uploads, results
        self._largest, self._local, self._full = largest, local, full

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a refusal."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # a web socket: nothing here uses one
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] == _JOIN:
            body = await _whole(receive)
            if all(_inside(path, self._uploads) for path in _named_files(body)):
                receive = _again(body, receive)
            else:
                refusal = 403
        if refusal is not None:
            return await _refuse(refusal, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in _HEADERS]
                message["headers"] = [*kept, *_HEADERS.items()]
                if scope["path"].startswith(_FILE):
                    message["headers"].append((b"cache-control", b"private, no-store"))
            await send(message)

        return await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Optional[int]:
        """The status that a request is refused with; None if it may pass."""
        headers: Dict[bytes, bytes] = dict(scope["headers"])
        if self._local and _host(headers) not in _LOCAL:
            return 403
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD"):
            if path.startswith(_FILE):
                return None if _inside(path[len(_FILE) :], self._results) else 403
            return None if _GET.fullmatch(path) and ".." not in path else 404
        if method != "POST" or not _POST.fullmatch(path):
            return 404
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411
        # What frames the file in the request takes some bytes, too.
        if int(length) > (self._largest + _LARGEST_CALL if path == _UPLOAD else _LARGEST_CALL):
            return 413
        return 507 if path == _UPLOAD and self._full() else None


def _host(headers: Dict[bytes, bytes]) -> Optional[str]:
    try:
        return urlsplit("//" + headers.get(b"host", b"").decode("latin-1")).hostname
    except ValueError:
        return None


def _inside(path: str, folder: Path) -> bool:
    """Whether an absolute path leads to a file below `folder`, also where links are followed."""
    if not path.startswith(f"{folder}{os.sep}") or "\0" in path:
        return False
    real = os.path.realpath(path)
    return real.startswith(f"{os.path.realpath(folder)}{os.sep}")


def _named_files(body: bytes) -> Iterator[str]:
    """The files that a call to the queue names."""
    try:
        todo: List[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        yield ""  # no call: refused
        return
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "path" in part:
                yield str(part["path"])
            todo += part.values()
        elif isinstance(part, list):
            todo += part


async def _whole(receive: Receive) -> bytes:
    """The body of a request whose length was checked."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read from `receive` once more, and then what comes after it."""
    messages: List[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


_REASONS = {
    403: "Not allowed.",
    404: "Not here.",
    411: "The length is missing.",
    413: "Too large.",
    507: "There is no room just now. Try again in some minutes.",
}


async def _refuse(status: int, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *_HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": _REASONS[status].encode()})
