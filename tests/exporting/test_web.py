"""The page for browsers, as far as it goes without one: what is written, and what is not."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.exporting import onnx as exporter
from rethink_fr.exporting import web, web_runtime
from rethink_fr.pictures.doubt import doubt_map
from tests.weights.http_server import serving

onnx = pytest.importorskip("onnx", reason="onnx, of the extra 'export', is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, of the extra 'export', is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx, of the extra 'export', is not installed")

PAGE = Path(web.__file__).with_name("page")


def package(*names: str) -> bytes:
    """A package of npm with these files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return written.getvalue()


PACKAGE = package("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", web_runtime.WASM)


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A registry that has PACKAGE, which is the pinned one; the user's cache is empty."""
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(web_runtime, "SHA256", hashlib.sha256(PACKAGE).hexdigest())
    with serving(PACKAGE) as server:
        monkeypatch.setattr(web_runtime, "URL", server.url)
        yield server


def export(run: Path, output: Path, *more: str) -> int:
    return main(["export", "--model", str(run), "--format", "web", "--output", str(output), *more])


def test_a_page_is_written_whole_and_asks_no_other_host(run, tmp_path, offered, capsys, monkeypatch):
    assert export(run, tmp_path / "page") == 0
    printed = capsys.readouterr().out
    assert "run by onnxruntime-web" in printed and re.search(r"visitors download \d+\.\d MB, or \d", printed)
    written = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert set(written) == set(web.PAGE_PARTS)
    assert set(web._OWN) == {path.name for path in PAGE.iterdir()}
    assert written["ort.wasm.min.js"] == b"ort.wasm.min.mjs" and written[web_runtime.WASM] == web_runtime.WASM.encode()
    told = json.loads(written["model.json"])
    assert (told["side"], told["control"], told["stochastic"]) == (32, "noise", True)
    assert told["files"] == {name: len(written[name]) for name in (web_runtime.WASM, "model.onnx")}
    assert Image.open(io.BytesIO(written["example.png"])).size == (32, 32)
    assert b"## Licence" in written["MODEL_CARD.md"] and b"Microsoft" in written["onnxruntime-license.txt"]
    shown = b"".join(data for name, data in written.items() if name.endswith((".html", ".css", ".js")))
    assert b"://" not in shown and b"default-src 'none'" in written["index.html"]

    assert export(run, tmp_path / "page") == 2 and "--overwrite" in capsys.readouterr().err

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    converted = exporter.OnnxModel(onnx.load(tmp_path / "page" / "model.onnx"), [])  # converting takes seconds
    monkeypatch.setattr(exporter, "to_onnx", lambda *arguments: converted)
    monkeypatch.setattr(web, "encode_png", full)
    assert export(run, tmp_path / "page", "--overwrite") == 1 and "space" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()} == written  # the old one, whole
    assert not list(tmp_path.glob(".*")) and len(offered.asked) == 1  # the second time it came from the cache


def refused(run: Path, tmp_path: Path, capsys, message: str) -> None:
    assert export(run, tmp_path / "page") == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "page").exists() and not list(tmp_path.glob(".*"))


def test_another_package_than_the_pinned_one_is_refused(run, tmp_path, offered, capsys):
    path = web_runtime.runtime_package()
    offered.content = PACKAGE + b"and more"
    refused(run, tmp_path, capsys, "has the SHA-256")
    assert not path.exists()
    path.write_bytes(offered.content)  # put there by hand: fetched again
    offered.content = PACKAGE
    assert web_runtime.runtime_files() and path.read_bytes() == PACKAGE


def test_without_a_connection_it_says_how_to_get_the_package(run, tmp_path, offered, capsys, monkeypatch):
    monkeypatch.setattr(web_runtime, "URL", "http://127.0.0.1:9/onnxruntime-web.tgz")
    refused(run, tmp_path, capsys, f"put it at {web_runtime.runtime_package()}; `npm pack onnxruntime-web@")
    web_runtime.runtime_package().write_bytes(PACKAGE)
    assert set(web_runtime.runtime_files()) == set(web_runtime.RUNTIME_PARTS)


def test_a_package_without_the_files_is_refused(run, tmp_path, offered, capsys, monkeypatch):
    offered.content = package("ort.wasm.min.mjs")
    monkeypatch.setattr(web_runtime, "SHA256", hashlib.sha256(offered.content).hexdigest())
    refused(run, tmp_path, capsys, "not the package onnxruntime-web")


def test_the_scripts_compute_what_the_package_computes(tmp_path):
    """Noise of a seed as TensorFlow draws it, resizing as Pillow does it, the map of doubt as `--samples` draws it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js, which runs the page's scripts here")
    for name in ("noise", "pictures", "doubt"):
        shutil.copy(PAGE / f"{name}.js", tmp_path / f"{name}.mjs")  # Node tells modules by their suffix
    generator = np.random.default_rng(0)
    sides = [(32, 32), (20, 32), (33, 100), (100, 32), (47, 46)]
    pictures = [generator.integers(0, 256, [side, side, 4], np.uint8) for side, _ in sides]
    samples = np.clip(pictures[0] + generator.normal(0, 9, [3, 32, 32, 4]), 0, 255).astype(np.uint8)
    given = {
        "sides": sides,
        "pictures": [picture.ravel().tolist() for picture in pictures],
        "samples": samples.reshape(3, -1).tolist(),
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    script = """
        import { readFileSync } from "node:fs";
        import { normalNoise } from "./noise.mjs";
        import { resized } from "./pictures.mjs";
        import { doubtMap } from "./doubt.mjs";
        const { sides, pictures, samples } = JSON.parse(readFileSync("given.json"));
        const { pixels, scale } = doubtMap(new Uint8ClampedArray(pictures[0]), samples);
        console.log(JSON.stringify({
          noise: [...normalNoise(1001, 4294967295, 3)],
          resized: sides.map(([from, to], at) => [...resized(new Uint8ClampedArray(pictures[at]), from, to)]),
          doubt: [...pixels], scale,
        }));"""
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = tf.random.stateless_normal([1001], tf.constant([4294967295, 3], tf.int64)).numpy()
    np.testing.assert_allclose(found["noise"], wanted, atol=2e-6)  # sines and logarithms in double here
    for (before, after), picture, values in zip(sides, pictures, found["resized"]):
        kind = Image.Resampling.BILINEAR if before < after else Image.Resampling.LANCZOS
        as_pillow = [Image.fromarray(channel).resize((after, after), kind) for channel in np.moveaxis(picture, 2, 0)]
        np.testing.assert_array_equal(np.reshape(values, [after, after, 4]), np.stack(as_pillow, axis=-1))
    levels = np.sqrt(samples[..., :3].astype(np.float32).var(axis=0).mean(axis=-1))
    drawn = doubt_map(Image.fromarray(pictures[0][..., :3]), [((0, 0, 32, 32), levels)])
    near = np.reshape(found["doubt"], [32, 32, 4])[..., :3].astype(int) - np.asarray(drawn)[:32, :32]
    assert np.abs(near).max() <= 1 and found["scale"] == 16
