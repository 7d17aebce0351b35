"""ONNX files as embedders and landmark networks: two real ones, small made ones, unusable ones."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rethink_fr.evaluation.networks.onnx_network import OnnxEmbedder, OnnxError, OnnxLandmarks
from rethink_fr.metrics import landmark_distance
from tests.command_line import PEAK_MEMORY, ROOT
from tests.weights.filled import pictures

FACES = ("ffhq00000", "ffhq00001", "ffhq00003", "alae00003", "alae00006", "alae00007", "alae00010", "alae00011")


def made(shape: list, output: list, element=None, nodes=None, **metadata: str) -> bytes:
    """A file whose output is its input, reshaped."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime, the extra 'onnx', is not installed")
    helper, kinds = onnx.helper, onnx.TensorProto
    size = [side if isinstance(side, int) else -1 for side in output]
    graph = helper.make_graph(
        nodes or [helper.make_node("Reshape", ["x", "size"], ["y"])],
        "made",
        [helper.make_tensor_value_info("x", element or kinds.FLOAT, shape)],
        [helper.make_tensor_value_info("y", element or kinds.FLOAT, output)],
        [helper.make_tensor("size", kinds.INT64, [len(size)], size)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    helper.set_model_props(model, {f"rethink_fr.{key}": value for key, value in metadata.items()})
    return model.SerializeToString()


@pytest.fixture(scope="module", params=["GhostOne", "GhostNet"])
def pfld(request, shared):
    """A landmark network, its name, the stored values and the crop they were computed with."""
    pytest.importorskip("onnxruntime", reason="onnxruntime, the extra 'onnx', is not installed")
    golden = np.load(shared / "golden/metrics/real_nets.npz")
    crop = tuple(float(edge) / 512 for edge in golden["pfld_box_xyxy"])
    model = (shared / f"weights/PFLD_{request.param}_112_1_opt_sim.onnx").read_bytes()
    return request.param, golden, OnnxLandmarks("PFLD", model, "00ff", crop=crop)


def test_landmarks_of_whole_faces_are_the_stored_ones(pfld, shared):
    name, golden, network = pfld
    faces = np.stack([np.asarray(Image.open(shared / f"faces/hq512/{face}.png").convert("RGB")) for face in FACES])
    expected = np.stack([golden[f"{face}/pfld_{name}_gt"] for face in FACES])
    found = network(faces)
    assert found.shape == (8, 98, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)  # measured 1e-4 pixels: float32 at 512
    # Half the size is half the coordinates, but for what the network makes of other pixels.
    halves = network(faces[:, ::2, ::2])
    assert np.abs(halves * 2 - expected).mean() < 1.5  # pixels of 512; measured 0.6


def test_distance_of_landmarks_is_the_stored_one(pfld, monkeypatch):
    name, golden, network = pfld
    monkeypatch.setattr(network, "crop", (0.0, 0.0, 1.0, 1.0))
    crops = [np.stack([golden[f"{face}/pfld_in_{kind}"] for face in FACES]) for kind in ("gt", "lq")]
    left, top, right, bottom = golden["pfld_box_xyxy"]
    clean, degraded = (network(crop) * ((right - left) / 112.0, (bottom - top) / 112.0) for crop in crops)
    expected = [golden[f"{face}/pfld_{name}_lmd"] for face in FACES]
    np.testing.assert_allclose(landmark_distance(clean, degraded), expected, atol=1e-4)  # pixels; measured 1e-5


@pytest.mark.parametrize(
    ("value_range", "expected"),
    [("-1..1", [-1.0, 0.2, 1.0]), ("0..1", [0.0, 0.6, 1.0]), ("0..255", [0.0, 153.0, 255.0])],
)
@pytest.mark.parametrize("batch", [1, "N", None])
def test_values_and_layouts(value_range, expected, batch):
    images = np.tile(np.uint8([0, 153, 255]), (9, 4, 5, 1))  # RGB, nine pictures
    first = OnnxEmbedder("a", made([batch, 3, 4, 5], [batch, 60]), "", value_range)(images)
    last = OnnxEmbedder("a", made([batch, 4, 5, 3], [batch, 60]), "", value_range)(images)
    assert first.shape == last.shape == (9, 60) and first.dtype == np.float32
    np.testing.assert_allclose(first, np.tile(np.repeat(expected, 20), (9, 1)), atol=1e-6)
    np.testing.assert_allclose(last, np.tile(np.tile(expected, 20), (9, 1)), atol=1e-6)


def test_the_crop_is_cut_out():
    images = pictures(2, 16, 16)
    network = OnnxEmbedder("a", made([None, 4, 8, 3], [None, 96]), "", "0..255", (0.25, 0.5, 0.75, 0.75))
    np.testing.assert_array_equal(network(images), images[:, 8:12, 4:12].reshape(2, -1))
    assert network(images[:0]).shape == (0, 96)


def test_a_file_may_say_its_range_and_crop():
    images = pictures(2, 16, 16)
    model = made([None, 4, 8, 3], [None, 96], value_range="0..255", crop="0.25,0.5,0.75,0.75")
    np.testing.assert_array_equal(OnnxEmbedder("a", model, "")(images), images[:, 8:12, 4:12].reshape(2, -1))
    said = OnnxEmbedder("a", model, "", "0..1", (0.0, 0.5, 0.5, 0.75))(images)  # what is asked for goes first
    np.testing.assert_allclose(said, images[:, 8:12, :8].reshape(2, -1) / 255.0, atol=1e-6)
    with pytest.raises(ValueError, match="crop '0,1'; expected four numbers"):
        OnnxEmbedder("a", made([None, 4, 8, 3], [None, 96], crop="0,1"), "")


@pytest.mark.parametrize(("unit", "scale"), [("fraction", (1.0, 1.0)), ("pixel", (1 / 2, 1 / 1))])
def test_points_are_in_pixels_of_the_pictures(unit, scale):
    model = made([1, 1, 2, 3], [1, 3, 2])  # a picture of one row, two columns: three points from six numbers
    network = OnnxLandmarks("a", model, "", "0..1", (0.5, 0.0, 1.0, 0.5), unit)
    image = np.zeros((1, 10, 20, 3), np.uint8)
    image[:, :, :15] = 255
    image[:, :, 15:] = 51
    found = network(image)
    values = np.array([[1.0, 1.0], [1.0, 0.2], [0.2, 0.2]])
    np.testing.assert_allclose(found[0], (values * scale * 0.5 + (0.5, 0.0)) * (20, 10), rtol=1e-6)


def test_an_odd_number_is_no_points():
    with pytest.raises(OnnxError, match="a: 3 numbers a face; expected x and y"):
        OnnxLandmarks("a", made([1, 1, 1, 3], [1, 3]), "")(np.zeros((1, 1, 1, 3), np.uint8))


def external(path: str):
    """A tensor of three values that lie in another file."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[3], data_location=1)
    tensor.external_data.add(key="location", value=path)
    return tensor


@pytest.mark.parametrize("place", ["initializer", "constant", "branch"])
def test_weights_in_other_files_are_not_looked_for(tmp_path, monkeypatch, place, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(12))
    tensor = external("w.bin")
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    model = onnx.load_model_from_string(made([1, 3, 4, 4], [1, 48]))
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        node = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
        if place == "branch":
            graph = onnx.helper.make_graph([node], "inner", [], [])
            node = onnx.helper.make_node("If", ["x"], ["c"], then_branch=graph, else_branch=graph)
        model.graph.node.insert(0, node)
    with pytest.raises(OnnxError, match="^a: has weights in other files; save it with all of them inside"):
        OnnxEmbedder("a", model.SerializeToString(), "")
    assert capfd.readouterr().err == ""


def test_a_small_file_does_not_take_all_memory():
    """In a process of its own, whose memory is measured."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    helper = onnx.helper
    count = helper.make_tensor("n", onnx.TensorProto.INT64, [1], [10**9])
    nodes = [
        helper.make_node("Constant", [], ["n"], value=count),
        helper.make_node("ConstantOfShape", ["n"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Reshape", ["x", "size"], ["flat"]),
        helper.make_node("Add", ["flat", "zero"], ["y"]),
    ]
    code = (
        f"{PEAK_MEMORY}import sys, numpy as np\n"
        "from rethink_fr.evaluation.networks.onnx_network import OnnxEmbedder, OnnxError\n"
        "try: OnnxEmbedder('a', sys.stdin.buffer.read(), '')(np.zeros([1, 4, 4, 3], np.uint8))\n"
        "except OnnxError as error: print(error)\n"
        "assert peak() < 2_000_000\n"
    )
    model = made([1, 3, 4, 4], [1, 48], nodes=nodes)
    done = subprocess.run([sys.executable, "-c", code], input=model, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert done.stdout.startswith(b"a: onnxruntime failed: ") and done.stdout.count(b"\n") == 1


def test_a_damaged_file_is_one_line_wherever_it_is_cut_or_changed(capfd):
    whole = made([1, 3, 4, 4], [1, 48], value_range="0..255")
    generator = np.random.default_rng(0)
    models = [whole[:length] for length in range(0, len(whole), 3)]
    for _ in range(200):
        changed = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            changed[place] = generator.integers(256)
        models.append(bytes(changed))
    for model in models:
        try:
            OnnxEmbedder("a", model, "")(pictures(1, 4, 4))
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "shape",
    [
        [1, 3, 100_000, 100_000],
        [1, 1, 4, 4],
        [1, 3, "h", "w"],
        [2, 3, 4, 4],
        [1, 48],
        [1, 4, 4, 3, 1],
        ["N", None, None, 3],
    ],
)
def test_other_inputs_are_refused(shape):
    with pytest.raises(OnnxError, match=r"^a: input of shape \[.*expected \[N, 3, height, width\]") as error:
        OnnxEmbedder("a", made(shape, [1, -1]), "")
    assert "\n" not in str(error.value)


def test_other_types_and_counts_are_refused():
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    with pytest.raises(OnnxError, match=r"inputs: x tensor\(double\); expected one, float32"):
        OnnxEmbedder("a", made([1, 3, 4, 4], [1, 48], onnx.TensorProto.DOUBLE), "")
    mean = [onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=[0, 1, 2, 3], keepdims=0)]
    with pytest.raises(OnnxError, match=r"output of type float32 and shape \[\] for 1 pictures"):
        OnnxEmbedder("a", made([1, 3, 4, 4], [], nodes=mean), "")(pictures(1, 4, 4))


def test_files_that_are_something_else_are_refused():
    pytest.importorskip("onnxruntime", reason="onnxruntime, the extra 'onnx', is not installed")
    for model in (b"", b"not a network", b"\x08\x08"):
        with pytest.raises(OnnxError, match="^a: not a usable ONNX file: .") as error:
            OnnxEmbedder("a", model, "")
        assert "\n" not in str(error.value)


def test_a_network_that_fails_is_named():
    with pytest.raises(OnnxError, match="^a: onnxruntime failed: .") as error:
        OnnxEmbedder("a", made([1, 3, 4, 4], [1, 47]), "")(pictures(1, 4, 4))
    assert "\n" not in str(error.value)


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OnnxError, match=r'pip install "\.\[onnx\]"'):
        OnnxEmbedder("a", b"", "")


def test_unknown_ranges_and_units_are_refused():
    with pytest.raises(ValueError, match=r"value range '0\.\.2'; expected -1\.\.1, 0\.\.1, 0\.\.255"):
        OnnxEmbedder("a", made([1, 3, 4, 4], [1, 48]), "", "0..2")
    with pytest.raises(ValueError, match="landmark unit 'mm'; expected fraction or pixel"):
        OnnxLandmarks("a", b"", "", unit="mm")
