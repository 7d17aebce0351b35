"""TensorFlow Serving: folder, signatures and warm-up as it expects them, and the client example over REST and gRPC."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr import images
from rethink_fr.inference.loading import load_restorer
from tests.command_line import ROOT

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api, of the extra 'export', is not installed")
from tests.exporting.fake_serving import Addresses, serving
from tests.tools.loading import load_tool


@pytest.fixture(scope="module")
def server(exported):
    with serving(exported.parent) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def client():
    return load_tool("serving_client")


@pytest.fixture()
def photos(tmp_path, pictures) -> list[Path]:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, picture in zip(paths, pictures):
        Image.fromarray(picture).save(path)
    return paths


def ask(server: Addresses, body: dict, model: str = "restorer") -> dict:
    request = urllib.request.Request(f"{server.url}/v1/models/{model}:predict", json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def by_python(run: Path, pictures: np.ndarray, **options) -> np.ndarray:
    return images.to_uint8(load_restorer(run)(images.to_model(pictures), **options)).numpy().astype(int)


def test_every_signature_is_warmed_up_before_the_model_is_available(server, exported):
    assert sorted(server.servable.warmed) == ["restore", "restore_bytes", "samples", "serving_default"]
    assert set(server.servable.definitions) == set(server.servable.warmed)
    with urllib.request.urlopen(f"{server.url}/v1/models/restorer") as response:
        assert json.load(response)["model_version_status"][0] == {
            "version": "1",
            "state": "AVAILABLE",
            "status": {"error_code": "OK"},
        }


@pytest.mark.slow
def test_vqfr_is_warmed_up_too(exported_vqfr):
    with serving(exported_vqfr.parent) as server:
        assert sorted(server.servable.warmed) == ["restore", "restore_bytes", "serving_default"]


def test_rows_have_a_seed_each(server, run, pictures):
    rows = [
        {"images": picture.tolist(), "noise": [[]], "seed": seed, "noise_scale": 1.0}
        for picture, seed in zip(pictures, (3, 8))
    ]
    made = np.array(ask(server, {"signature_name": "restore", "instances": rows})["predictions"])
    for number, seed in enumerate((3, 8)):
        wanted = by_python(run, pictures[number : number + 1], seed=seed)
        assert np.abs(made[number] - wanted[0]).max() <= 1


def test_columns_take_one_value_for_all_and_noise(server, run, pictures):
    noise = np.random.default_rng(0).normal(size=[2, *load_restorer(run).noise_shape]).astype(np.float32)
    inputs = {"images": pictures.tolist(), "noise": noise.tolist(), "seed": [0], "noise_scale": [0.5]}
    made = np.array(ask(server, {"signature_name": "restore", "inputs": inputs})["outputs"])
    assert np.abs(made - by_python(run, pictures, noise=noise, noise_scale=0.5)).max() <= 1
    default = np.array(ask(server, {"instances": pictures.tolist()})["predictions"])
    assert np.abs(default - by_python(run, pictures, noise_scale=0.0)).max() <= 1


def test_samples_come_as_rows(server, pictures):
    row = {"images": pictures[0].tolist(), "count": 3, "seed": 1, "noise_scale": 1.0}
    (made,) = ask(server, {"signature_name": "samples", "instances": [row]})["predictions"]
    assert np.shape(made["samples"]) == (3, *pictures[0].shape) and np.shape(made["spread"]) == pictures[0].shape


def test_what_the_server_refuses_is_said(server, pictures):
    inputs = {"images": pictures.tolist(), "noise": [[[]]], "seed": [0], "noise_scale": [2.0]}
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, {"signature_name": "restore", "inputs": inputs})
    assert "noise_scale: expected 0 to 1" in json.load(caught.value)["error"]


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_the_client_restores_what_the_command_restores(server, client, run, photos, tmp_path, pictures, way, capsys):
    where = ["--url", server.url] if way == "rest" else ["--grpc", server.grpc]
    output = tmp_path / "restored"
    arguments = [*map(str, photos), *where, "--seed", "3", "--noise-scale", "0.5", "--output", str(output)]
    assert client.main(arguments) == 0
    assert "2 of 2 photos restored" in capsys.readouterr().out
    for name, picture in zip("ab", pictures):
        found = np.asarray(Image.open(output / f"{name}.png")).astype(int)
        assert np.abs(found - by_python(run, picture[None], seed=3, noise_scale=0.5)[0]).max() <= 1
    assert client.main(arguments) == 1  # nothing is written over
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_the_client_lists_what_cannot_be_restored_in_a_line_each(server, client, photos, tmp_path, way, capsys):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    where = ["--url", server.url] if way == "rest" else ["--grpc", server.grpc]
    given = [str(tmp_path / "bad.png"), str(photos[0]), str(tmp_path / "none.png")]
    assert client.main([*given, *where, "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "1 of 3 photos restored" in captured.out and len(captured.err.splitlines()) == 2
    assert "bad.png: " in captured.err and "Traceback" not in captured.err
    assert client.main([*given, *where, "--model", "other", "--output", str(tmp_path / "out")]) == 1
    assert "Servable not found" in capsys.readouterr().err
    assert client.main([str(photos[0]), *where, "--fidelity", "1", "--output", str(tmp_path / "out")]) == 1
    assert "fidelity" in capsys.readouterr().err


def test_the_client_without_a_server_says_so(client, photos, tmp_path, capsys):
    assert client.main([str(photos[0]), "--url", "http://127.0.0.1:9", "--output", str(tmp_path / "out")]) == 1
    assert "no server at http://127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.slow
def test_the_client_takes_textures_of_vqfr(exported_vqfr, client, photos, tmp_path):
    with serving(exported_vqfr.parent) as server:
        arguments = [str(photos[0]), "--url", server.url, "--fidelity", "0", "--output", str(tmp_path / "out")]
        assert client.main(arguments) == 0
    restored, texture = (Image.open(tmp_path / "out" / name) for name in ("a.png", "a_texture.png"))
    np.testing.assert_array_equal(np.asarray(restored), np.asarray(texture))


def test_the_image_of_the_dockerfile_finds_the_model_where_it_is_copied():
    """The server looks for MODEL_BASE_PATH/MODEL_NAME/VERSION; its image's base path is /models."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "COPY ${MODEL} /models/restorer/1\nENV MODEL_NAME=restorer\n" in text
    assert io.StringIO(text).readline().startswith("# Three images")
