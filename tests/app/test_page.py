"""The page in a real browser, from the upload to the download, and what its server does not give to anybody."""

import http.client
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from tests.chromium import PHONE
from tests.command_line import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="the page needs the package gradio (the extra app)"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The page of a restorer whose answers are known: its address, and the folder that its temporary files are in."""
    folder = tmp_path_factory.mktemp("temporary")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = open(folder.parent / "log", "w+")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.app.echo", str(port)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    place = server.stdout.readline().strip()
    if not place:
        log.seek(0)
        pytest.fail(f"the page did not open: {log.read()}")
    yield place, folder
    assert list(folder.iterdir()), "its files were not where this test looks for them"
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert not list(folder.iterdir())  # nothing is left
    log.seek(0)
    told = log.read()
    log.close()
    assert "Traceback" not in told
    assert "asked another host" not in told


def photo(tmp_path: Path, colour=(200, 120, 80), name="grandma 1950.jpg") -> Path:
    path = tmp_path / name
    Image.new("RGB", (320, 240), colour).save(path, quality=95)
    return path


def opened(browser, served, **context):
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(180_000)  # ms; a busy machine takes long for the first face
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(served[0])
    page.get_by_role("button", name="Restore").wait_for()
    return page


def give(page, path: Path) -> None:
    page.set_input_files("input[type=file]", path)
    page.locator("#status", has_text="px. Press").wait_for()


def restore(page) -> None:
    page.get_by_role("button", name="Restore").click()
    page.locator(".viewer .after").wait_for()
    page.wait_for_function("[...document.querySelectorAll('.viewer img')].every(image => image.naturalWidth > 0)")


def colour(page, across: float) -> np.ndarray:
    """What is seen of the photo at this part of its width, in half its height but beside the handle."""
    seen = np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("RGB")).astype(int)
    return seen[int(seen.shape[0] * 0.42), int(seen.shape[1] * across)]


def test_from_the_upload_to_the_download(browser, served, tmp_path):
    page = opened(browser, served)
    give(page, photo(tmp_path))
    assert page.locator("#status").inner_text().startswith("grandma 1950.jpg, 320 × 240 px")
    restore(page)
    assert "1 face restored, 4 times each" in page.locator("#status").inner_text()

    before, after = colour(page, 0.47), colour(page, 0.53)
    assert np.abs(before - [200, 120, 80]).max() < 12 < np.abs(after - before).max()
    stage = page.locator(".stage").bounding_box()
    page.mouse.click(stage["x"] + 0.9 * stage["width"], stage["y"] + 0.8 * stage["height"])
    assert np.abs(colour(page, 0.53) - before).max() < 12

    with page.expect_download() as download:
        page.get_by_role("link", name="Download the restored photo").click()
    assert download.value.suggested_filename == "grandma 1950_restored_1.jpg"
    got = Image.open(download.value.path())
    assert got.format == "JPEG" and got.size == (320, 240)
    assert np.abs(np.asarray(got)[100, 170].astype(int) - after).max() < 12
    for name, kind in (("Sheet of all samples", "sheet"), ("Map of doubt", "doubt")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == f"grandma 1950_restored_{kind}.png"
        Image.open(download.value.path()).verify()

    hosts = {url.split("/")[2] for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {served[0].split("/")[2]}  # no fonts, no analytics
    assert not page.wrong


def test_by_keyboard_alone(browser, served, tmp_path):
    page = opened(browser, served)

    def focused(script="element.getAttribute('aria-label') || element.innerText || element.type"):
        return page.evaluate(f"(() => {{ const element = document.activeElement; return {script}; }})()")

    def tab_to(wanted):
        for _ in range(20):
            page.keyboard.press("Tab")
            if wanted in focused():
                return
        raise AssertionError(f"{wanted} is not reached by the tabulator")

    tab_to("Click to upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(photo(tmp_path))
    page.locator("#status", has_text="px. Press").wait_for()
    page.locator("body").click(position={"x": 1, "y": 1})
    tab_to("range slider for Samples")
    page.keyboard.press("ArrowLeft")
    tab_to("Restore")
    page.keyboard.press("Enter")
    page.locator(".viewer .after").wait_for()
    assert "3 times each" in page.locator("#status").inner_text()

    tab_to("Edge between before and after")
    page.keyboard.press("End")
    assert focused("getComputedStyle(element.parentNode).getPropertyValue('--at')") == "100%"
    assert focused("getComputedStyle(element.parentNode).outlineStyle") == "solid"
    tab_to("radio")
    page.keyboard.press("ArrowRight")
    assert page.locator(".downloads .main").get_attribute("download") == "grandma 1950_restored_2.jpg"
    assert page.locator(".after").get_attribute("src").endswith("after_1.jpg")
    tab_to("checkbox")
    page.keyboard.press("Space")
    assert page.locator(".after").get_attribute("src").endswith("over.jpg")
    page.keyboard.press("Space")
    assert page.locator(".after").get_attribute("src").endswith("after_1.jpg")
    tab_to("Download the restored photo")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "grandma 1950_restored_2.jpg"


def test_on_a_phone(browser, served, tmp_path):
    page = opened(browser, served, **PHONE)
    give(page, photo(tmp_path))
    restore(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [page.locator(name).bounding_box() for name in (".stage", ".strip", ".downloads")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    page.locator(".at").tap(position={"x": 0.25 * boxes[0]["width"], "y": 0.9 * boxes[0]["height"]})
    assert 15 < float(page.locator(".at").input_value()) < 35
    page.locator(".strip label").nth(2).tap()
    assert page.locator(".after").get_attribute("src").endswith("after_2.jpg")


def test_two_people_at_once_get_their_own(browser, served, tmp_path):
    pages = [opened(browser, served) for _ in range(2)]
    colours = [(250, 10, 10), (10, 10, 250)]
    for page, chosen in zip(pages, colours):
        give(page, photo(tmp_path, chosen))  # under one name
    for page in pages:
        page.get_by_role("button", name="Restore").click()
    for page, chosen in zip(pages, colours):
        page.locator(".viewer .after").wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the restored photo").click()
        corner = np.asarray(Image.open(download.value.path()))[3, 3].astype(int)
        assert np.abs(corner - chosen).max() < 12


def test_mistakes_are_told_in_words(browser, served, tmp_path):
    page = opened(browser, served)
    page.get_by_role("button", name="Restore").click()
    page.locator("#status", has_text="Choose a photo first").wait_for()
    (tmp_path / "letter.png").write_bytes(b"Dear aunt")
    page.set_input_files("input[type=file]", tmp_path / "letter.png")
    page.locator("#status", has_text="letter.png cannot be used: not an image in a known format").wait_for()
    give(page, photo(tmp_path))  # and the page goes on
    white = tmp_path / "white.png"
    Image.new("RGB", (64, 64), "white").save(white)
    give(page, white)
    page.get_by_role("button", name="Restore").click()
    page.locator("#status", has_text="No face was found").wait_for()


def test_crafted_requests_get_nothing(served, tmp_path):
    place, folder = served
    host, port = place.removeprefix("http://").split(":")
    (made,) = folder.iterdir()
    secret = folder.parent / "secret"
    secret.write_text("secret")

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in {**({} if body is None else {"Content-Length": len(body)}), **(headers or {})}.items():
            connection.putheader(name, str(value))
        connection.endheaders(body)
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        assert b"secret" not in told and b"root:" not in told
        return answer.status, told

    def uploaded(name, data=b"x"):
        body = (
            b'--edge\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
            b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--edge--\r\n"
        )
        return ask("POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=edge"})

    assert ask("GET", "/")[0] == 200
    climbing = f"{made}/results/../../../secret"
    for path in ("/etc/passwd", secret, climbing, quote(climbing, safe=""), climbing.replace("..", "%2e%2e")):
        assert ask("GET", f"/gradio_api/file={path}")[0] == 403
        assert ask("GET", f"/file={path}")[0] == 404
    for path in (f"http://{host}:{port}/", "https%3A//example.org/"):
        assert ask("GET", f"/gradio_api/file={path}")[0] == 403
        assert ask("GET", f"/gradio_api/proxy={path}")[0] == 404
    for path in (
        "/config",
        "/gradio_api/info",
        "/gradio_api/runs",
        "/monitoring/summary",
        "/assets/../../../../secret",
    ):
        assert ask("GET", path)[0] == 404
    assert ask("GET", "/", headers={"Host": "evil.example"})[0] == 403

    status, told = uploaded("../../../../evil.png")
    (upload,) = json.loads(told)
    assert status == 200 and Path(upload).parent.parent == made / "uploads"
    assert ask("GET", f"/gradio_api/file={upload}")[0] == 403
    for path in ("/etc/passwd", str(secret), f"http://{host}:{port}/x.png", climbing):
        file = {"path": path, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
        call = json.dumps({"data": [file], "fn_index": 0, "session_hash": "s"}).encode()
        assert ask("POST", "/gradio_api/queue/join", call, {"Content-Type": "application/json"})[0] == 403
        assert ask("POST", "/gradio_api/run/take", call, {"Content-Type": "application/json"})[0] == 404
    assert ask("POST", "/gradio_api/upload", headers={"Content-Length": 1 << 40})[0] == 413
    assert not (folder.parent / "evil.png").exists()
