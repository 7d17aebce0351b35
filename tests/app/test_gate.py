"""What passes to Gradio's server, and what is refused before it."""

import asyncio
import json

import pytest

from rethink_fr.app.gate import Gate

LARGEST = 1 << 20


@pytest.fixture
def folders(tmp_path):
    for name in ("uploads/ab", "results/token", "secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "uploads/ab/me.jpg").write_bytes(b"upload")
    (tmp_path / "results/token/me.jpg").write_bytes(b"result")
    (tmp_path / "secret/key").write_bytes(b"secret")
    (tmp_path / "results/token/link.jpg").symlink_to(tmp_path / "secret/key")
    (tmp_path / "results_of_others").mkdir()
    return tmp_path


def ask(folders, path, method="GET", headers=None, body=b"", local=True, full=False):
    """The status of an answer, its headers, and the body that came through to the server behind."""
    came, sent = [], []

    async def behind(scope, receive, send):
        came.append((await receive()).get("body"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-security-policy", b"none")]})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    given = {"host": "127.0.0.1:7860", **({"content-length": str(len(body))} if method == "POST" else {})}
    given.update(headers or {})
    gate = Gate(
        behind,
        uploads=folders / "uploads",
        results=folders / "results",
        largest=LARGEST,
        local=local,
        full=lambda: full,
    )
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    asyncio.run(gate({"type": "http", "path": path, "method": method, "headers": raw}, receive, send))
    start = sent[0]
    return start["status"], dict(start["headers"]), came


@pytest.mark.parametrize("path", ["/", "/theme.css", "/assets/Index-D36.js", "/gradio_api/queue/data"])
def test_what_the_page_needs_passes(folders, path):
    status, headers, came = ask(folders, path)
    assert status == 200 and came
    assert b"default-src 'self'" in headers[b"content-security-policy"]


def test_a_result_passes_and_is_not_kept_by_the_browser(folders):
    status, headers, _ = ask(folders, f"/gradio_api/file={folders}/results/token/me.jpg")
    assert status == 200
    assert b"no-store" in headers[b"cache-control"]


@pytest.mark.parametrize(
    "file",
    [
        "/etc/passwd",
        "{}/secret/key",
        "{}/results/../secret/key",
        "{}/results/token/../../secret/key",
        "{}/results/token/link.jpg",  # leads out of the folder
        "{}/results",
        "{}/results_of_others/me.jpg",
        "{}/uploads/ab/me.jpg",
        "results/token/me.jpg",
        "~/key",
        "http://127.0.0.1:80/",
        "https://example.org/picture.png",
        "",
    ],
)
def test_no_other_file_is_served(folders, file):
    status, headers, came = ask(folders, f"/gradio_api/file={file.format(folders)}")
    assert status == 403 and not came
    assert b"content-security-policy" in headers


@pytest.mark.parametrize(
    "path",
    [
        "/config",
        "/docs",
        "/monitoring",
        "/monitoring/summary",
        "/login",
        "/assets/../../secret/key",
        "/static/../secret",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/deep_link",
        "/gradio_api/mcp/",
        "/gradio_api/vibe-code",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/custom_component/1/client/x/y",
        "/gradio_api/stream/a/b/c/playlist-file",
        "/svelte/x",
        "//etc/passwd",
    ],
)
def test_what_the_page_does_not_need_is_not_there(folders, path):
    status, _, came = ask(folders, path)
    assert status == 404 and not came


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/call/take", "/gradio_api/component_server"])
def test_programs_have_no_way_in(folders, path):
    assert ask(folders, path, "POST", body=b"{}")[0] == 404
    assert ask(folders, "/gradio_api/upload", "PUT")[0] == 404


def test_a_call_that_names_uploads_reaches_the_queue_whole(folders):
    body = json.dumps({"data": [{"path": f"{folders}/uploads/ab/me.jpg", "meta": {}}]}).encode()
    status, _, came = ask(folders, "/gradio_api/queue/join", "POST", body=body)
    assert status == 200 and came == [body]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "http://127.0.0.1/x.png", "{}/uploads/../secret/key", "{}/results/token/me.jpg", "", None, 7],
)
def test_a_call_that_names_another_file_is_refused(folders, path):
    path = path.format(folders) if isinstance(path, str) else path
    body = json.dumps({"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}]]}).encode()
    assert ask(folders, "/gradio_api/queue/join", "POST", body=body)[0] == 403


@pytest.mark.parametrize("body", [b"", b"no json", b"[" * 60_000])
def test_a_call_that_is_none_is_refused(folders, body):
    assert ask(folders, "/gradio_api/queue/join", "POST", body=body)[0] == 403


def test_sizes_are_told_first_and_limited(folders):
    upload, join = "/gradio_api/upload", "/gradio_api/queue/join"
    assert ask(folders, upload, "POST", {"content-length": str(LARGEST)})[0] == 200
    assert ask(folders, upload, "POST", {"content-length": str(2 * LARGEST)})[0] == 413
    assert ask(folders, join, "POST", {"content-length": str(LARGEST)})[0] == 413
    assert ask(folders, upload, "POST", {"content-length": ""})[0] == 411
    assert ask(folders, upload, "POST", full=True)[0] == 507


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost:7860", 200),
        ("[::1]:7860", 200),
        ("evil.example:7860", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_only_names_of_this_machine_lead_to_a_page_that_is_for_it_alone(folders, host, status):
    assert ask(folders, "/", headers={"host": host})[0] == status
    assert ask(folders, "/", headers={"host": host}, local=False)[0] == 200
