"""Detectors from ONNX files: two known layouts, everything else refused in one line."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.faces.onnx_detector import OnnxDetector
from rethink_fr.faces.onnx_layouts import STEPS, layout_of
from rethink_fr.faces.opening import check_detector, open_detector
from rethink_fr.faces.search import find_faces

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIDE = 64
CELLS = [SIDE // step for step in STEPS]
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def saved(path, outputs, side=SIDE, metadata=None, shape=None):
    """A network that answers with these arrays, whatever it is given."""
    helper, kinds = onnx.helper, onnx.TensorProto
    arrays = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    nodes = [helper.make_node("Identity", [f"{name}_made"], [name]) for name in arrays]
    initial = [onnx.numpy_helper.from_array(value, f"{name}_made") for name, value in arrays.items()]
    given = helper.make_tensor_value_info("input", kinds.FLOAT, shape or [1, 3, side, side])
    made = [helper.make_tensor_value_info(name, kinds.FLOAT, value.shape) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "made", [given], made, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def retinaface(box, score=0.98, sides=(16, 32), logits=False):
    """What RetinaFace answers for one face: the second anchor of the cell in row 3, column 4 of the finest grid."""
    count = sum(2 * cells * cells for cells in CELLS)
    shifts, landmarks = np.zeros([1, count, 4]), np.zeros([1, count, 10])
    classes = np.tile([1.0, 0.0], [1, count, 1])
    place, centre, length = 2 * (3 * CELLS[0] + 4) + 1, np.array([4.5, 3.5]) * 8, sides[1]
    left, top, right, bottom = (edge + 0.5 for edge in box)  # (0, 0) is the corner of the first pixel, not its centre
    middle, size = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top])
    shifts[0, place] = [*((middle - centre) / length / 0.1), *(np.log(size / length) / 0.2)]
    points = np.array([left, top]) + POINTS * size
    landmarks[0, place] = ((points - centre) / length / 0.1).ravel()
    classes[0, place] = [1 - score, score]
    if logits:
        classes = np.log(np.clip(classes, 1e-6, 1)) + 3.0
    return {"loc": shifts, "conf": classes, "landms": landmarks}


def yunet(box, score=0.98):
    """What YuNet answers for one face, in the cell in row 1, column 2 of the middle grid."""
    outputs = {}
    for step, cells in zip(STEPS, CELLS):
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{kind}_{step}"] = np.zeros([1, cells * cells, width])
    place, cell = 1 * CELLS[1] + 2, np.array([2, 1])
    left, top, right, bottom = (edge + 0.5 for edge in box)  # (0, 0) is the corner of the first pixel, not its centre
    middle, size = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top])
    outputs["cls_16"][0, place], outputs["obj_16"][0, place] = score, score
    outputs["bbox_16"][0, place] = [*(middle / 16 - cell), *np.log(size / 16)]
    outputs["kps_16"][0, place] = ((np.array([left, top]) + POINTS * size) / 16 - cell).ravel()
    return outputs


BOX = (20.0, 12.0, 52.0, 50.0)


@pytest.mark.parametrize(
    ("made", "metadata"),
    [
        (retinaface(BOX), {}),
        (retinaface(BOX, logits=True), {}),
        (retinaface(BOX, sides=(10, 20)), {"rethink_fr.anchors": "10,20;32,64;128,256"}),
        (yunet(BOX), {}),
    ],
    ids=["probabilities", "logits", "other anchors", "yunet"],
)
def test_a_known_layout_gives_the_face_that_it_means(tmp_path, made, metadata):
    detector = OnnxDetector(saved(tmp_path / "made.onnx", made, metadata=metadata))
    assert detector.name == "made.onnx" and detector.side == SIDE
    (face,) = detector(np.zeros([SIDE, SIDE, 3], np.uint8), 16, 0.5)
    assert face.score == pytest.approx(0.98, abs=1e-3)
    np.testing.assert_allclose(face.box, BOX, atol=1e-3)
    np.testing.assert_allclose(face.points, np.array(BOX[:2]) + POINTS * [32.0, 38.0], atol=1e-3)
    assert detector(np.zeros([SIDE, SIDE, 3], np.uint8), 16, 0.99) == []
    assert detector(np.zeros([SIDE, SIDE, 3], np.uint8), 60, 0.5) == []


def test_a_picture_is_fitted_into_a_fixed_input_and_places_come_back(tmp_path):
    detector = OnnxDetector(saved(tmp_path / "made.onnx", retinaface(BOX)))
    (face,) = detector(np.zeros([32, 128, 3], np.uint8), 16, 0.5)  # half of its size in the input
    np.testing.assert_allclose(face.box, (np.array(BOX) + 0.5) * 2 - 0.5, atol=1e-3)
    (again,) = find_faces(Image.new("RGB", (640, 640)), detector)
    np.testing.assert_allclose(again.box, (np.array(BOX) + 0.5) * 10 - 0.5, atol=1e-2)


def free_retinaface(path):
    """RetinaFace's outputs, all zero, of the right number for any input: two anchors a cell."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes, parts = [], {"loc": 8, "conf": 4, "landms": 20}
    initial = [onnx.numpy_helper.from_array(np.array([1, -1, n // 2], np.int64), f"to_{k}") for k, n in parts.items()]
    for name, channels in parts.items():
        weights = np.zeros([channels, 3, 1, 1], np.float32)
        if name == "conf":
            initial.append(onnx.numpy_helper.from_array(np.array([1, 0, 1, 0], np.float32), "bias_conf"))
        initial.append(onnx.numpy_helper.from_array(weights, f"w_{name}"))
        rows = []
        for step in STEPS:
            given = ["input", f"w_{name}"] + (["bias_conf"] if name == "conf" else [])
            nodes.append(
                helper.make_node("Conv", given, [f"c_{name}_{step}"], kernel_shape=[1, 1], strides=[step, step])
            )
            nodes.append(helper.make_node("Transpose", [f"c_{name}_{step}"], [f"t_{name}_{step}"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [f"t_{name}_{step}", f"to_{name}"], [f"r_{name}_{step}"]))
            rows.append(f"r_{name}_{step}")
        nodes.append(helper.make_node("Concat", rows, [name], axis=1))
    given = helper.make_tensor_value_info("input", kinds.FLOAT, [1, 3, "h", "w"])
    made = [helper.make_tensor_value_info(name, kinds.FLOAT, [1, "n", n // 2]) for name, n in parts.items()]
    graph = helper.make_graph(nodes, "made", [given], made, initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("size", [(1, 1), (33, 70), (64, 64)])
def test_a_free_input_takes_pictures_of_any_size(tmp_path, size):
    detector = OnnxDetector(free_retinaface(tmp_path / "made.onnx"))
    assert detector.side == 1600
    assert detector(np.zeros([*size, 3], np.uint8), 16, 0.5) == []


NOT_DETECTORS = {
    "other outputs": (
        {"boxes": np.zeros([1, 5, 4]), "scores": np.zeros([1, 5])},
        {},
        "no face detector of a known layout",
    ),
    "too few boxes": (
        {**retinaface(BOX), "loc": np.zeros([1, 9, 4])},
        {},
        "gives 9 boxes for 64 x 64 px; expected 168",
    ),
    "odd anchors": (retinaface(BOX), {"metadata": {"rethink_fr.anchors": "1;2"}}, "expected two sides for each"),
    "odd size": (retinaface(BOX), {"side": 50}, "H and W free or multiples of 32"),
    "four channels": (retinaface(BOX), {"shape": [1, 4, 64, 64]}, r"expected one of float32 \[1, 3, H, W\]"),
    "several pictures": (retinaface(BOX), {"shape": [8, 3, 64, 64]}, r"expected one of float32 \[1, 3, H, W\]"),
}


@pytest.mark.parametrize("kind", NOT_DETECTORS)
def test_other_networks_are_refused_in_one_line(tmp_path, kind):
    outputs, options, message = NOT_DETECTORS[kind]
    path = saved(tmp_path / "made.onnx", outputs, **options)
    with pytest.raises(ValueError, match=message) as caught:
        OnnxDetector(path)(np.zeros([SIDE, SIDE, 3], np.uint8), 16, 0.5)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("made.onnx: ")


def test_files_that_are_none_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.onnx").write_bytes(b"no network")
    for path, message in (
        (tmp_path / "no.onnx", "no such file"),
        (tmp_path / "weights.pth", "expected an ONNX file"),
        (tmp_path / "text.onnx", "not a usable ONNX file"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            open_detector(path)
        assert "\n" not in str(caught.value)
    check_detector(None)


def test_values_that_are_no_numbers_give_no_faces(tmp_path):
    made = retinaface(BOX)
    made["loc"][0, :, :] = np.nan
    assert OnnxDetector(saved(tmp_path / "made.onnx", made))(np.zeros([SIDE, SIDE, 3], np.uint8), 16, 0.5) == []


def test_the_layout_is_known_by_the_shapes_alone():
    shapes = {"a": (1, 168, 10), "b": (1, 168, 4), "c": (1, 168, 2)}
    assert layout_of(shapes).name == "RetinaFace"
    with pytest.raises(ValueError, match="known layout"):
        layout_of({"a": (1, 168, 10), "b": (1, 168, 4)})
