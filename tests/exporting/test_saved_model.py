"""The SavedModel: each signature gives what the restorer gives; what lies beside the graph; old and native ones."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.exporting.card import Source
from rethink_fr.exporting.encoded import _upright, decode_squares
from rethink_fr.exporting.export import export_saved_model
from rethink_fr.exporting.faces import faces_to_check
from rethink_fr.exporting.operations import traced_with
from rethink_fr.inference.loading import load_restorer
from rethink_fr.ops.native import NativeOpsError, native_ops
from rethink_fr.pictures.files import decode_square
from rethink_fr.runs import shipped
from rethink_fr.runs.loading import load_run
from tests.command_line import ROOT
from tests.exporting.conftest import SIDE
from tests.exporting.toy import toy_run

NO_NOISE = tf.zeros([0, 0, 0])


@pytest.fixture(scope="module")
def signatures(exported) -> dict:
    return tf.saved_model.load(str(exported)).signatures


def by_python(run: Path, pictures: np.ndarray, **options) -> np.ndarray:
    return images.to_uint8(load_restorer(run)(images.to_model(pictures), **options)).numpy()


def near(one, other) -> bool:
    """Within a level: rounding of values that float arithmetic puts beside a half."""
    one, other = np.asarray(one).astype(int), np.asarray(other).astype(int)
    return one.shape == other.shape and np.abs(one - other).max() <= 1


def test_the_default_has_no_chance_in_it(run, signatures, pictures):
    restored = signatures["serving_default"](images=tf.constant(pictures))["restored"]
    assert restored.dtype == tf.uint8 and near(restored, by_python(run, pictures, noise_scale=0.0))


def test_a_seed_is_that_of_the_python_call_and_belongs_to_one_face(run, signatures, pictures):
    restored = signatures["restore"](
        images=tf.constant(pictures),
        noise=NO_NOISE,
        seed=tf.constant([3, 8], tf.int64),
        noise_scale=tf.constant([1.0, 0.5]),
    )["restored"]
    assert near(restored[:1], by_python(run, pictures[:1], seed=3))
    assert near(restored[1:], by_python(run, pictures[1:], seed=8, noise_scale=0.5))
    assert not near(restored[:1], by_python(run, pictures[:1], seed=4))


def test_one_seed_and_scale_stand_for_all_faces(signatures, pictures):
    def restored(size: int) -> np.ndarray:
        return signatures["restore"](
            images=tf.constant(pictures),
            noise=NO_NOISE,
            seed=tf.fill([size], tf.constant(5, tf.int64)),
            noise_scale=tf.fill([size], 0.5),
        )["restored"].numpy()

    np.testing.assert_array_equal(restored(1), restored(2))


def test_noise_that_is_given_is_used(run, signatures, pictures):
    restorer = load_restorer(run)
    noise = np.random.default_rng(2).normal(size=[2, *restorer.noise_shape]).astype(np.float32)
    made = signatures["restore"](
        images=tf.constant(pictures),
        noise=tf.constant(noise),
        seed=tf.constant([0], tf.int64),
        noise_scale=tf.ones([1]),
    )
    assert near(made["restored"], by_python(run, pictures, noise=noise))


def test_samples_are_those_of_a_seed_with_their_mean_and_spread(run, signatures, pictures):
    made = signatures["samples"](
        images=tf.constant(pictures),
        count=tf.constant([5]),
        seed=tf.constant([7], tf.int64),
        noise_scale=tf.constant([1.0]),
    )
    restorer = load_restorer(run)
    wanted = [restorer.restore_picture(picture, restorer.draw_noise(7, 5).numpy())["restored"] for picture in pictures]
    assert made["samples"].shape == [2, 5, SIDE, SIDE, 3] and near(made["samples"], wanted)
    # Rounding each sample moves the mean by half a level at most, and rounding it by another half.
    assert np.abs(made["mean"].numpy() - np.mean(wanted, axis=1)).max() <= 1.0
    assert np.abs(made["spread"].numpy() - np.std(np.array(wanted, np.float32), axis=1)).max() <= 1.0
    assert made["spread"].numpy().max() > 1


def test_vqfr_takes_a_fidelity_for_each_face(vqfr, exported_vqfr, pictures):
    functions = tf.saved_model.load(str(exported_vqfr)).signatures
    assert sorted(functions) == ["restore", "restore_bytes", "serving_default"]
    made = functions["restore"](images=tf.constant(pictures), fidelity=tf.constant([0.0, 0.3]))
    np.testing.assert_array_equal(made["restored"][0], made["texture"][0])
    assert near(made["restored"][1:], by_python(vqfr, pictures[1:], fidelity=0.3))
    assert near(functions["serving_default"](images=tf.constant(pictures))["restored"], by_python(vqfr, pictures))


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("restore", {"noise": NO_NOISE, "noise_scale": tf.constant([1.5])}, "noise_scale: expected 0 to 1"),
        ("samples", {"count": tf.constant([0])}, "count: expected 1 to 64"),
        ("samples", {"count": tf.constant([65])}, "count: expected 1 to 64"),
        ("restore_bytes", {"image_bytes": tf.constant([b"no picture"])}, "Unknown image file format"),
    ],
)
def test_what_makes_no_sense_is_refused(signatures, pictures, name, inputs, message):
    given = {"images": tf.constant(pictures), "seed": tf.constant([0], tf.int64), "noise_scale": tf.ones([1]), **inputs}
    taken = signatures[name].structured_input_signature[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures[name](**{key: value for key, value in given.items() if key in taken})


def encoded(picture: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(rows: int, columns: int, channels: int = 3) -> np.ndarray:
    """A picture without single pixels, which decoders and filters may round differently."""
    small = np.random.default_rng(3).integers(0, 256, [6, 7, channels], np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(small[..., c]).resize((columns, rows), Image.Resampling.BICUBIC))
            for c in range(channels)
        ],
        axis=-1,
    )


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(smooth(41, 60), "JPEG", quality=95, exif=exif)


FILES = {
    "png": encoded(smooth(50, 50), "PNG"),
    "of the size": encoded(smooth(SIDE, SIDE), "PNG"),
    "not square": encoded(smooth(48, 70), "PNG"),
    "smaller": encoded(smooth(20, 20), "PNG"),
    "jpeg": encoded(smooth(50, 50), "JPEG", quality=95),
    "bmp": encoded(smooth(50, 50), "BMP"),
    "grey": encoded(smooth(50, 50, 1)[..., 0], "PNG"),
    "grey jpeg": encoded(smooth(50, 50, 1)[..., 0], "JPEG", quality=95),
    "transparent": encoded(smooth(50, 50, 4), "PNG"),
    "grey and transparent": encoded(smooth(50, 50, 2), "PNG"),
    **{f"orientation {value}": oriented(value) for value in range(1, 9)},
}


@pytest.mark.parametrize("name", FILES)
def test_files_become_the_squares_that_the_command_makes_of_them(name):
    found = decode_squares(tf.constant([FILES[name]]), SIDE)[0].numpy()
    difference = np.abs(found.astype(int) - decode_square(FILES[name], SIDE).image.astype(int))
    # Two libraries: another inverse DCT and colour conversion for JPEG, other rounding between the passes of Lanczos.
    assert difference.mean() < 0.75 and difference.max() <= 4


def test_orientations_are_not_read_into_other_bytes():
    """A file without EXIF data, one that begins otherwise, and one of a single byte."""
    square = tf.reshape(tf.range(12.0), [2, 2, 3])
    tag = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00"
    for file in (b"\xff\xd8\xff" + tag, b"\xff\xd8\xff Exif\x00\x00MM\x00\x2a" + tag, b"\xff\xd8\xff", b""):
        np.testing.assert_array_equal(_upright(square, tf.constant(file)), square)
    exif = b"\xff\xd8\xff\xe1Exif\x00\x00II\x2a\x00\x80\xfe" + tag
    assert not np.array_equal(_upright(square, tf.constant(exif)), square)


def test_files_go_in_and_png_files_come_out(run, signatures, pictures):
    made = signatures["restore_bytes"](
        image_bytes=tf.constant([encoded(picture, "PNG") for picture in pictures]),
        seed=tf.constant([3, 4], tf.int64),
        noise_scale=tf.constant([1.0]),
    )["restored_bytes"].numpy()
    for number, file in enumerate(made):
        assert file.startswith(b"\x89PNG")
        found = np.asarray(Image.open(io.BytesIO(file)))[None]
        assert near(found, by_python(run, pictures[number : number + 1], seed=3 + number))


def test_the_card_the_licence_and_the_output_tell_what_it_takes(run, exported, tmp_path, capsys):
    """And two exports are alike but for the graph, so that whoever compares them sees differences of the model only."""
    again = tmp_path / "again"
    assert main(["export", "--model", str(run), "--format", "saved_model", "--output", str(again)]) == 0
    printed = capsys.readouterr().out
    card = (exported / "MODEL_CARD.md").read_text(encoding="utf-8")
    for part in (
        "serving_default",
        "samples",
        "restore_bytes",
        f"uint8 [B, {SIDE}, {SIDE}, 3]",
        "[B, 3, 16] from N(0, 1)",
    ):
        assert part in printed and part in card
    assert "Keras" in printed and "must not be used to identify people" in card and str(exported) not in card
    assert "Apache License" in (exported / "LICENSE").read_text()
    for name in ("MODEL_CARD.md", "LICENSE", "assets.extra/tf_serving_warmup_requests"):
        assert (again / name).read_bytes() == (exported / name).read_bytes()


def test_given_faces_are_compared_on_and_not_named(run, tmp_path, pictures, capsys):
    (tmp_path / "private").mkdir()
    Image.fromarray(pictures[0]).save(tmp_path / "private" / "a.png")
    arguments = ["export", "--model", str(run), "--format", "saved_model", "--check", str(tmp_path / "private")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "1 given faces" in capsys.readouterr().out
    assert "private" not in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_a_network_of_the_package_brings_its_terms(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    shipped.write_shipped(run, tmp_path / "models" / "tiny", "Its weights are for research only.\n")
    assert main(["export", "--model", "tiny", "--format", "saved_model", "--output", str(tmp_path / "out")]) == 0
    assert "terms of their own" in capsys.readouterr().out
    assert "Its weights are for research only." in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert main(["export", "--model", "other", "--format", "onnx", "--output", str(tmp_path / "other")]) == 2
    assert "that comes with the package: tiny" in capsys.readouterr().err


def test_a_difference_leaves_nothing_behind(run, tmp_path, monkeypatch, capsys):
    from rethink_fr.exporting import export
    from rethink_fr.exporting.comparison import Tolerance

    monkeypatch.setitem(export.TOLERANCES, ("saved_model", "float32"), Tolerance(levels=-1))
    output = tmp_path / "folder" / "out"
    assert main(["export", "--model", str(run), "--format", "saved_model", "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert "nothing was written" in error and "at most -1 is accepted" in error and len(error.splitlines()) == 1
    assert not list((tmp_path / "folder").iterdir())


def test_a_native_export_is_read_with_the_operators_of_this_installation(tmp_path, pictures):
    try:
        native_ops(required=True)
    except NativeOpsError as error:
        pytest.skip(f"no native operators: {error}")
    output, toy = tmp_path / "native", toy_run()
    export_saved_model(Source(toy), output, faces_to_check(None, SIDE), native=True)
    assert b"RethinkFr>DeformConv2d" in (output / "saved_model.pb").read_bytes()
    np.save(tmp_path / "in.npy", images.to_model(pictures))
    code = (
        "import sys, numpy as np, rethink_fr\n"
        "try: np.save(sys.argv[3], rethink_fr.load_restorer(sys.argv[1])(np.load(sys.argv[2])))\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    command = [sys.executable, "-c", code, str(output), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, cwd=ROOT)
    wanted = toy.inference.function(images.to_model(pictures))["restored"]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=1e-5)
    environment = {**os.environ, "RETHINK_FR_OPS": "reference"}
    forbidden = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert "exported with --native" in forbidden.stderr.splitlines()[-1]


def test_the_operations_of_the_network_are_its_own_again_afterwards():
    network = toy_run().inference.network
    layers = [layer for layer in network.submodules if hasattr(layer, "implementation")]
    with traced_with(network, "reference", "unrolled"):
        assert {layer.implementation for layer in layers} == {"reference", "unrolled"}
    assert {layer.implementation for layer in layers} == {"auto"}


def test_saved_models_of_earlier_versions_are_read(run, tmp_path, pictures):
    """Before there were other signatures, a SavedModel had `serving_default` and the function `restore` only."""
    inference = load_run(run).inference
    specifications = [
        tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images"),
        tf.TensorSpec(inference.control_shape, tf.float32, "noise"),
    ]
    module = tf.Module()
    module.weights = list(inference.network.weights)
    module.restore = tf.function(
        lambda images, control: inference.function(images, control)["restored"], input_signature=specifications
    )
    serve = tf.function(
        lambda pictures: {"restored": images.to_uint8(inference.function(images.to_model(pictures))["restored"])},
        input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8, "images")],
    )
    with traced_with(inference.network, "reference", "reference"):
        tf.saved_model.save(module, str(tmp_path / "old"), signatures={"serving_default": serve})
    assert near(by_python(tmp_path / "old", pictures, seed=3), by_python(run, pictures, seed=3))
