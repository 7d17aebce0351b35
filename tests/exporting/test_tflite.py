"""TFLite files: what they hold, that they restore as the Keras model does, and what the exporter refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.exporting import tflite as exporter
from rethink_fr.exporting.comparison import ExportError
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr
from rethink_fr.ops import deform_conv_reference
from tests.exporting.conftest import SIDE, write_vqfr
from tests.exporting.toy import toy_run


def operators(model: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    for operator in tf.lite.Interpreter(model_content=model)._get_ops_details():
        found[operator["op_name"]] = found.get(operator["op_name"], 0) + 1
    return found


def restored_by_tensorflow(model: bytes, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return tf.lite.Interpreter(model_content=model).get_signature_runner("restore")(**inputs)


# Measured on these faces: 90, 60 and 49 dB.
@pytest.mark.parametrize(("precision", "least"), [("float32", 80.0), ("float16", 50.0), ("int8", 35.0)])
def test_a_tflite_file_restores_a_face(run, tmp_path, pictures, precision, least, capfd):
    if precision != "float32":
        pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer, of the extra 'export', is not installed")
    path = tmp_path / "model.tflite"
    arguments = ["export", "--model", str(run), "--format", "tflite", "--precision", precision, "--output", str(path)]
    assert main(arguments) == 0
    captured = capfd.readouterr()
    assert "TFLite's own operators only" in captured.out and f"uint8 [1, {SIDE}, {SIDE}, 3]" in captured.out
    assert captured.err == ""  # the converter and the interpreter would print pages
    restorer = load_restorer(run)
    noise = restorer.draw_noise(0, 1).numpy()
    made = restored_by_tensorflow(path.read_bytes(), images=pictures[:1], noise=noise)["restored"]
    wanted = images.to_uint8(restorer(images.to_model(pictures[:1]), noise)).numpy()
    assert made.dtype == np.uint8 and psnr(made, wanted)[0] > least


@pytest.fixture(scope="module")
def toy():
    return toy_run()


def test_a_network_in_tiles_has_no_loop_and_stores_no_zeros(toy, monkeypatch):
    monkeypatch.setattr(
        deform_conv_reference, "_TILE_BYTES", 9 * 32 * 4 * 32 * 6
    )  # six rows: five whole tiles and two rows
    model = exporter.to_tflite(toy.inference, "float32")
    assert "WHILE" not in operators(model) and operators(model)["CONCATENATION"] >= 1
    weights = sum(weight.shape.num_elements() * 4 for weight in toy.inference.network.weights)
    assert len(model) < weights + 120_000  # operators; the output of the loop would be 64 kB more
    picture = np.random.default_rng(5).integers(0, 256, [1, 32, 32, 3], np.uint8)
    wanted = images.to_uint8(toy.inference.function(images.to_model(picture))["restored"]).numpy()
    made = restored_by_tensorflow(model, images=picture)["restored"]
    assert np.abs(made.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_layers_that_a_choice_depends_on_keep_their_weights(toy, precision):
    pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer, of the extra 'export', is not installed")
    from rethink_fr.exporting.tflite_precision import _free_layers, with_smaller_weights

    whole = exporter.to_tflite(toy.inference, "float32")
    free = [layer.output for layer in _free_layers(whole)]
    assert any("to_rgb" in name for name in free) and not any("encoder" in name for name in free)
    small = with_smaller_weights(whole, precision)
    interpreter = tf.lite.Interpreter(model_content=small)
    stored = {tensor["name"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    kernels = {np.float16, np.int8}
    assert any(kind in kernels for kind in stored.values())
    picture = np.random.default_rng(5).integers(0, 256, [1, 32, 32, 3], np.uint8)
    made, wanted = (restored_by_tensorflow(model, images=picture)["restored"] for model in (small, whole))
    assert psnr(made, wanted)[0] > (50 if precision == "float16" else 25)


def test_operators_that_tflite_lacks_are_named(toy):
    def restore(pictures: tf.Tensor, control: object = None) -> dict[str, tf.Tensor]:
        square = tf.transpose(pictures, [0, 3, 1, 2])
        turned = tf.transpose(tf.linalg.qr(square)[0], [0, 2, 3, 1])
        return {"restored": tf.math.betainc(tf.abs(pictures) + 1.0, 2.0, 0.5) + turned}

    with pytest.raises(ExportError, match="TFLite has no operator for these of the network: Qr, Betainc") as caught:
        exporter.to_tflite(toy.inference._replace(function=restore), "float32")
    assert len(str(caught.value).splitlines()) == 1


def test_without_the_quantizer_the_extra_is_named(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    arguments = ["export", "--model", str(run), "--format", "tflite", "--precision", "float16"]
    assert main([*arguments, "--output", str(tmp_path / "x.tflite")]) == 2
    error = capsys.readouterr().err
    assert "needs ai-edge-quantizer" in error and len(error.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_tensorflow_runs_it_where_litert_is_not_installed(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert exporter.tflite_restorer(exporter.to_tflite(toy.inference, "float32")).runtime.startswith("TensorFlow 2.")


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_vqfr(tmp_path, version, precision):
    run = write_vqfr(tmp_path / "run", version)
    arguments = ["export", "--model", str(run), "--format", "tflite", "--precision", precision]
    assert main([*arguments, "--output", str(tmp_path / "x.tflite")]) == 0
