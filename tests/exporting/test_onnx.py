"""ONNX files: what they hold, that they restore as the Keras model does, and what the exporter refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.exporting import onnx as exporter
from rethink_fr.exporting.comparison import ExportError
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr
from tests.exporting.conftest import SIDE, write_vqfr
from tests.exporting.toy import toy_run

onnx = pytest.importorskip("onnx", reason="onnx, of the extra 'export', is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime, of the extra 'export', is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx, of the extra 'export', is not installed")


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def kinds(model) -> list[str]:
    return [node.op_type for node in exporter._nodes(model.graph)]


@pytest.fixture(scope="module")
def toy():
    return toy_run()


@pytest.fixture(scope="module")
def plain(toy):
    return exporter.to_onnx(toy.inference, "float32", plain=True)


@pytest.mark.parametrize(("precision", "least"), [("float32", 80.0), ("float16", 50.0)])
def test_an_onnx_file_restores_any_number_of_faces(run, tmp_path, pictures, precision, least, capsys):
    path = tmp_path / "model.onnx"
    arguments = ["export", "--model", str(run), "--format", "onnx", "--precision", precision, "--output", str(path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "opset 17, operators of ONNX only" in printed and "lowest PSNR" in printed and "ratio" in printed
    restorer = load_restorer(run)
    noise = restorer.draw_noise(0, 2).numpy()
    for count in (1, 2):
        (made,) = session(path).run(None, {"images": pictures[:count], "noise": noise[:count]})
        wanted = images.to_uint8(restorer(images.to_model(pictures[:count]), noise[:count])).numpy()
        assert made.dtype == np.uint8 and psnr(made, wanted).min() > least  # measured: 90 and 58
    model = onnx.load(path)
    assert [one.dim_param or one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim] == [
        "B",
        SIDE,
        SIDE,
        3,
    ]
    assert "A blind face restorer".lower() in model.doc_string.lower() and model.opset_import[0].version == 17
    assert main(arguments) == 2 and "is there already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_plain_operators_do_what_the_network_does(toy, plain):
    model, notes = plain
    assert exporter.foreign_operators(model, 17) == [] and "DeformConv" not in kinds(model)
    assert any("plain operators" in note for note in notes) and model.opset_import[0].version == 17
    check_toy(toy, model)


def test_deformable_convolution_is_that_of_onnx_where_the_runtime_has_it(toy):
    if exporter._why_plain(False):
        pytest.skip(exporter._why_plain(False))
    model, notes = exporter.to_onnx(toy.inference, "float32")
    assert kinds(model).count("DeformConv") == 1 and "Loop" not in kinds(model)
    assert model.opset_import[0].version == 19 and len(model.opset_import) == 1
    assert any("ONNX's DeformConv" in note for note in notes)
    check_toy(toy, model)


def check_toy(toy, model) -> None:
    """Within a level of the network, for a batch too; nothing in it that ONNX deprecates."""
    generator = np.random.default_rng(5)
    pictures = generator.integers(0, 256, [3, 32, 32, 3], np.uint8)
    wanted = images.to_uint8(toy.inference.function(images.to_model(pictures))["restored"]).numpy()
    (made,) = session(model.SerializeToString()).run(None, {"images": pictures})
    assert np.abs(made.astype(int) - wanted).max() <= 1
    assert b"tf_half_pixel_for_nn" not in model.SerializeToString()


def test_only_what_no_choice_depends_on_multiplies_in_float16(plain):
    from rethink_fr.exporting.onnx_float16 import to_float16

    model = to_float16(plain.model)
    onnx.checker.check_model(model, full_check=True)
    types = {weight.name: weight.data_type for weight in model.graph.initializer}
    read = {
        node.name: types[name]
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
        for name in node.input
        if name in types
    }
    halves = {name for name, kind in read.items() if kind == onnx.TensorProto.FLOAT16}
    whole = set(read) - halves
    assert any("encoder" in name for name in whole) and not any("encoder" in name for name in halves)
    assert any("decoder" in name for name in halves) and any("to_rgb" in name for name in halves)


def test_operators_of_others_are_named(plain):
    model = type(plain.model)()
    model.CopyFrom(plain.model)
    model.graph.node[0].domain, model.graph.node[0].op_type = "com.microsoft", "Range"
    assert exporter.foreign_operators(model, 17) == ["Range"]
    model.graph.node[0].domain, model.graph.node[0].op_type = "", "DeformConv"
    assert exporter.foreign_operators(model, 17) == ["DeformConv"] and exporter.foreign_operators(model, 19) == []


def test_a_network_that_cannot_be_converted_is_one_line(toy):
    def restore(pictures: tf.Tensor, control: object = None) -> dict[str, tf.Tensor]:
        return {"restored": tf.numpy_function(lambda value: value, [pictures], tf.float32)}

    with pytest.raises(ExportError, match="PyFunc") as caught:
        exporter.to_onnx(toy.inference._replace(function=restore), "float32")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("missing", ["tf2onnx", "onnx", "onnxruntime"])
def test_without_its_packages_the_extra_is_named(run, tmp_path, monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["export", "--model", str(run), "--format", "onnx", "--output", str(tmp_path / "x.onnx")]) == 2
    error = capsys.readouterr().err
    assert f"needs {missing}" in error and 'pip install ".[export]"' in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format", "onnx", "--precision", "int8"], "--format onnx has float32, float16 only"),
        (["--format", "saved_model", "--precision", "float16"], "--format saved_model has float32 only"),
        (["--format", "onnx", "--native"], "--native"),
        (["--format", "tflite", "--plain"], "--plain"),
        (["--format", "onnx", "--check", "NOTHING"], "no such folder"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_work(run, tmp_path, capsys, more, message):
    arguments = ["export", "--model", str(run), "--output", str(tmp_path / "out"), *more]
    assert main([part.replace("NOTHING", str(tmp_path / "none")) for part in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_an_empty_folder_to_check_on_is_refused(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = ["export", "--model", str(run), "--format", "onnx", "--check", str(tmp_path / "empty")]
    assert main([*arguments, "--output", str(tmp_path / "x.onnx")]) == 2
    assert "holds no image files" in capsys.readouterr().err


def test_a_file_of_the_run_is_not_written_over(run, capsys):
    arguments = ["export", "--model", str(run), "--format", "onnx", "--overwrite"]
    assert main([*arguments, "--output", str(run / "config.yaml")]) == 2
    assert "would be overwritten" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("more", [(), ("--plain",), ("--precision", "float16")], ids=" ".join)
def test_vqfr(tmp_path, pictures, version, more):
    run = write_vqfr(tmp_path / "run", version)
    (tmp_path / "faces").mkdir()
    Image.fromarray(pictures[0]).save(tmp_path / "faces" / "noise.png")
    output = str(tmp_path / "model.onnx")
    assert main(["export", "--model", str(run), "--format", "onnx", "--output", output, *more]) == 0
    control = {"fidelity": np.array([0.4, 0.9], np.float32)} if version == 2 else {}
    restored, texture = session(output).run(["restored", "texture"], {"images": pictures, **control})
    for number, picture in enumerate(pictures):
        fidelity = float(control["fidelity"][number]) if control else None
        wanted = load_restorer(run).restore(images.to_model(picture[None]), fidelity=fidelity)
        least = 50 if "float16" in more else 75
        assert psnr(restored[number][None], images.to_uint8(wanted["restored"]).numpy())[0] > least
        assert psnr(texture[number][None], images.to_uint8(wanted["texture"]).numpy())[0] > least
