"""The page in a real browser: it restores as the Keras model does, on a phone and by keyboard, and says what is wrong.

It needs Chromium, playwright, and the package onnxruntime-web: in the user's cache, or by npm.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.exporting import web, web_runtime
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr
from rethink_fr.pictures.files import square_resize
from tests.chromium import PHONE

pytestmark = pytest.mark.slow
HEADERS = dict(
    re.findall(r"^  ([\w-]+): (.*)$", Path(web.__file__).with_name("page").joinpath("_headers").read_text(), re.M)
)


@pytest.fixture(scope="module", autouse=True)
def onnxruntime_web(tmp_path_factory) -> None:
    """The real package. It is the npm client that fetches it, which knows this machine's registry."""
    path = web_runtime.runtime_package()
    if path.is_file():
        return
    folder = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"no onnxruntime-web at {path}, and no npm to fetch it")
    done = subprocess.run([npm, "pack", f"onnxruntime-web@{web_runtime.VERSION}"], cwd=folder, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"no onnxruntime-web at {path}, and npm cannot fetch it")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.move(next(folder.glob("*.tgz")), path)


def exported(run: Path, folder: Path, *more: str) -> Path:
    assert main(["export", "--model", str(run), "--format", "web", "--output", str(folder), *more]) == 0
    return folder


@pytest.fixture(scope="module")
def site(run, tmp_path_factory) -> Path:
    return exported(run, tmp_path_factory.mktemp("site") / "page")


@contextlib.contextmanager
def served(folder: Path, headers: dict[str, str] | None = None) -> Iterator[str]:
    """A static host that knows few types, compresses nothing, and sends these headers."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {"": "application/octet-stream", ".html": "text/html", ".js": "text/javascript"}
        extensions_map.update({".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"})

        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.handle_error = lambda *arguments: None  # a page that is closed breaks connections off
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def opened(browser, place: str, **context):
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(120_000)  # ms, on a busy machine
    page.asked, page.wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(place)
    status(page, "Choose a picture of one face")
    return page


def status(page, text: str) -> str:
    page.locator("#status", has_text=text).wait_for()
    return page.locator("#status").inner_text()


def give(page, path: Path) -> None:
    page.set_input_files("input[type=file]", path)
    status(page, "Press")


def restore(page) -> str:
    page.get_by_role("button", name="Restore").click()
    return status(page, "not evidence")


def downloaded(page) -> tuple[str, np.ndarray]:
    page.wait_for_timeout(200)  # the file of the picture that is shown is made in the background
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    return download.value.suggested_filename, np.asarray(Image.open(download.value.path()).convert("RGB"))


def samples_of(page) -> list[np.ndarray]:
    made = []
    for number in range(page.locator("#strip label").count()):
        page.locator("#strip label").nth(number).click()
        name, picture = downloaded(page)
        assert name == f"grandma 1950_restored_{number + 1}.png"
        made.append(picture)
    return made


def face(tmp_path: Path, side: int) -> tuple[Path, np.ndarray]:
    """A drawn face as a file, and as the command would give it to a network of 32 px."""
    path = tmp_path / "grandma 1950.png"
    drawn = draw_face(1_000_003, 0, 64).image
    drawn = square_resize(drawn, side)
    Image.fromarray(drawn).save(path)
    return path, square_resize(drawn, 32, Image.Resampling.BILINEAR)


def close(made: np.ndarray, wanted: np.ndarray) -> bool:
    """Within a level, and 60 dB. Measured: equal, and VQFR 83 dB."""
    levels = np.abs(made.astype(int) - wanted.astype(int)).max()
    decibels = float(psnr(made[None], wanted[None])[0])
    print(f"largest difference {levels} of 255 levels, {decibels:.1f} dB")
    return levels <= 1 and decibels > 60


@pytest.mark.parametrize("headers", [{}, HEADERS], ids=["one thread", "threads"])
@pytest.mark.parametrize("side", [32, 20, 64])
def test_it_restores_as_the_keras_model_does(browser, run, site, tmp_path, side, headers):
    path, seen = face(tmp_path, side)
    with served(site, headers) as place:
        page = opened(browser, place)
        give(page, path)
        page.locator("#seed").fill("7")
        page.locator("#noise").fill("0.5")
        said = restore(page)
        print(said)
        assert "restored 4 times" in said and ("by 1 thread." in said) != bool(headers)
        made = samples_of(page)
        restorer = load_restorer(run)
        batch = images.to_model(np.repeat(seen[None], 4, axis=0))
        wanted = images.to_uint8(restorer(batch, restorer.draw_noise(7, 4), noise_scale=0.5)).numpy()
        assert len({picture.tobytes() for picture in made}) == 4  # noise matters
        assert all(close(one, other) for one, other in zip(made, wanted))

        page.get_by_label("Show where the samples differ").check()
        name, doubt = downloaded(page)
        assert name == "grandma 1950_doubt.png" and doubt.shape == (32, 32, 3)
        assert all(url.startswith((place, "blob:")) for url in page.asked)
        assert not page.wrong
        # The browser holds the page to what it says of itself.
        asked = page.evaluate("fetch('http://localhost:1/').then(() => 'sent', (error) => error.message)")
        assert "Content Security Policy" in " ".join(page.wrong) and asked != "sent"


def test_half_precision_is_restored_too(browser, run, site, tmp_path):
    halves = exported(run, tmp_path / "page", "--precision", "float16")
    sizes = {
        name: sum(file.stat().st_size for file in folder.iterdir())
        for name, folder in (("float32", site), ("float16", halves))
    }
    print(f"bytes of the page: {sizes}")
    path, seen = face(tmp_path, 32)
    with served(halves) as place:
        page = opened(browser, place)
        give(page, path)
        page.locator("#noise").fill("0")
        restore(page)
        wanted = images.to_uint8(load_restorer(run)(images.to_model(seen[None]), noise_scale=0.0)).numpy()
        decibels = psnr(downloaded(page)[1][None], wanted)[0]
        print(f"float16: {decibels:.1f} dB")
        assert decibels > 40 and not page.locator("#strip").is_visible()


def test_vqfr_has_a_fidelity_instead(browser, vqfr, tmp_path):
    path, seen = face(tmp_path, 32)
    with served(exported(vqfr, tmp_path / "page")) as place:
        page = opened(browser, place)
        assert not page.locator("#seed").is_visible()
        give(page, path)
        page.locator("#fidelity").fill("0.4")
        restore(page)
        wanted = images.to_uint8(load_restorer(vqfr)(images.to_model(seen[None]), fidelity=0.4)).numpy()
        assert close(downloaded(page)[1], wanted[0])


def test_what_cannot_be_used_is_said(browser, site, tmp_path):
    good, _ = face(tmp_path, 32)
    with served(site) as place:
        page = opened(browser, place)
        files = {
            "letter.png": b"Dear aunt",
            "empty.jpg": b"",
            "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
            "half.png": good.read_bytes()[:40],
        }
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
            page.set_input_files("input[type=file]", tmp_path / name)
            assert "picture that this browser can read" in status(page, f"{name} cannot be used.")
        for side, expected in ((5000, "5000 × 5000 pixels; this page takes up to 16.8 million"), (30_000, "too large")):
            Image.new("1", (side, side)).save(tmp_path / "huge.png")
            page.set_input_files("input[type=file]", tmp_path / "huge.png")
            status(page, expected)
        (tmp_path / "long.png").write_bytes(bytes((64 << 20) + 1))
        page.set_input_files("input[type=file]", tmp_path / "long.png")
        assert "this page takes up to 64 MB" in status(page, "long.png cannot be used.")
        assert page.get_by_role("button", name="Restore").is_disabled()
        give(page, good)  # and it goes on
        page.locator("#seed").fill("")
        page.get_by_role("button", name="Restore").click()
        assert page.evaluate("document.getElementById('seed').matches(':invalid')")
        page.locator("#seed").fill("1")
        restore(page)
        assert not page.wrong


def test_a_site_that_is_not_complete_is_said(browser, site, tmp_path):
    broken = shutil.copytree(site, tmp_path / "broken")
    (broken / "model.onnx").write_bytes((site / "model.onnx").read_bytes()[:-1])
    with served(broken) as place:
        page = opened(browser, place)
        page.get_by_role("button", name="Try a drawn face").click()
        for expected in ("expected", "the server answered 404"):
            status(page, "Press")
            page.get_by_role("button", name="Restore").click()
            assert (
                "model.onnx" in status(page, expected) and "That did not work" in page.locator("#status").inner_text()
            )
            (broken / "model.onnx").unlink(missing_ok=True)
            page.get_by_role("button", name="Try a drawn face").click()
        shutil.copy(site / "model.onnx", broken)
        status(page, "Press")
        restore(page)
        (broken / "model.json").unlink()
        page.reload()
        assert "404 for model.json" in status(page, "This page is not complete")


def test_by_keyboard_alone(browser, site, tmp_path):
    path, _ = face(tmp_path, 32)
    with served(site) as place:
        page = opened(browser, place)

        def tab_to(name: str) -> None:
            for _ in range(20):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.id || document.activeElement.name") == name:
                    return
            raise AssertionError(f"{name} is not reached by the tabulator")

        tab_to("file")
        assert page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle") == "solid"
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(path)
        status(page, "Press")
        tab_to("samples")
        page.keyboard.press("ArrowLeft")
        tab_to("restore")
        page.keyboard.press("Enter")
        assert "restored 3 times" in status(page, "not evidence")
        tab_to("at")
        page.keyboard.press("End")
        assert page.evaluate("getComputedStyle(document.getElementById('stage')).getPropertyValue('--at')") == "100%"
        tab_to("sample")
        page.keyboard.press("ArrowRight")
        assert page.locator("#download").get_attribute("download") == "grandma 1950_restored_2.png"
        tab_to("show-doubt")
        page.keyboard.press("Space")
        tab_to("download")
        page.wait_for_timeout(200)
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "grandma 1950_doubt.png"


def test_on_a_phone(browser, site, tmp_path):
    path, _ = face(tmp_path, 32)
    with served(site) as place:
        page = opened(browser, place, **PHONE)
        give(page, path)
        restore(page)
        page.get_by_text("The model, its card and its licence").tap()
        assert "## " not in page.locator("#card").inner_text() and "Licence" in page.locator("#card").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = page.locator("#stage").bounding_box()
        page.locator("#at").tap(position={"x": 0.25 * box["width"], "y": 0.9 * box["height"]})
        assert 15 < float(page.locator("#at").input_value()) < 35


def test_it_can_be_stopped_and_given_another_picture(browser, site, tmp_path):
    path, _ = face(tmp_path, 32)
    with served(site) as place:
        page = opened(browser, place)
        give(page, path)
        page.get_by_role("button", name="Restore").click()
        page.get_by_role("button", name="Stop").click()
        status(page, "Stopped.")
        page.get_by_role("button", name="Restore").click()
        page.get_by_role("button", name="Try a drawn face").click()
        status(page, "drawn face.png, 32 × 32 px. Press")
        page.wait_for_timeout(1000)
        assert not page.locator("#after").is_visible()
        assert "drawn face.png restored 4 times" in restore(page)
        click = "document.getElementById('restore').click(), document.querySelectorAll('#strip label').length"
        assert page.evaluate(click) == 0  # nothing of before can be chosen any more
        status(page, "not evidence")
        assert page.locator("#strip label").count() == 4 and not page.wrong


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_network_of_the_package(browser, tmp_path, precision, capsys):
    from rethink_fr.runs.shipped import shipped_models

    if "mini128" not in shipped_models():
        pytest.skip("no network comes with this checkout")
    folder = exported(Path("mini128"), tmp_path / "page", "--precision", precision)
    print(capsys.readouterr().out)
    with served(folder, HEADERS) as place:
        page = opened(browser, place)
        page.get_by_role("button", name="Try a drawn face").click()
        status(page, "Press")
        page.locator("#noise").fill("0")
        print(restore(page))
        restorer = load_restorer("mini128")
        example = np.asarray(Image.open(folder / "example.png"))
        wanted = images.to_uint8(restorer(images.to_model(example[None]), noise_scale=0.0)).numpy()
        decibels = psnr(downloaded(page)[1][None], wanted)[0]
        print(f"{precision}: {decibels:.1f} dB")
        assert decibels > (60 if precision == "float32" else 40)
