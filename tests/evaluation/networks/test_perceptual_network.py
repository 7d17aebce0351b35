"""`--perceptual-net`: a network from a file or folder, named in the report."""

import json

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.cli import main
from rethink_fr.evaluation.needs import Sources
from rethink_fr.files.checksums import file_sha256
from rethink_fr.losses.feature_network import load_feature_network
from rethink_fr.losses.squeezenet import squeezenet
from rethink_fr.metrics import diversity, perceptual_distance
from rethink_fr.pictures.files import read_image, write_image
from rethink_fr.weights.published_network import expected_shapes
from tests.weights.filled import filled, pictures


@pytest.fixture
def faces(tmp_path):
    for number, picture in enumerate(pictures(2, 40, 40)):
        write_image(tmp_path / "clean" / f"{number}.png", picture)
        for sample, other in enumerate(pictures(2, 40, 40, seed=number + 1), start=1):
            write_image(tmp_path / "restored" / f"{number}_{sample}.png", other // 2 + picture // 2)
    np.savez(tmp_path / "net.npz", **filled(expected_shapes(squeezenet, (None, None, 3))))
    return tmp_path


def evaluated(faces, network):
    output = faces / "report.json"
    given = ["--restored", faces / "restored", "--reference", faces / "clean", "--perceptual-net", network]
    arguments = [*given, "--metrics", "perceptual,diversity", "--output", output, "--overwrite"]
    return main(["evaluate", *map(str, arguments)]), json.loads(output.read_text()) if output.exists() else None


def test_a_file_gives_distances_and_diversity(faces):
    code, report = evaluated(faces, faces / "net.npz")
    assert code == 0
    network = load_feature_network(str(faces / "net.npz"))
    for number, row in enumerate(report["rows"]):
        clean = read_image(faces / "clean" / f"{number}.png")
        samples = np.stack([read_image(faces / "restored" / f"{number}_{k}.png") for k in (1, 2)]) / 127.5 - 1
        distances = perceptual_distance(samples, np.stack([clean] * 2) / 127.5 - 1, network)
        assert row["restored"]["perceptual"] == pytest.approx(distances.mean(), rel=1e-4)  # float32
        assert row["restored"]["diversity"] == pytest.approx(diversity(samples, network), rel=1e-4)
        assert row["restored"]["diversity"] > 0
    assert report["networks"]["perceptual"] == {"name": "SqueezeNet 1.0", "sha256": file_sha256(faces / "net.npz")}


class OfOneSize(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32)])
    def __call__(self, images):
        return tf.nn.avg_pool2d(images, 2, 2, "VALID")


def test_a_saved_model_of_another_size_is_one_line_for_each_picture(faces, capsys):
    tf.saved_model.save(OfOneSize(), str(faces / "saved"))
    code, report = evaluated(faces, faces / "saved")
    errors = capsys.readouterr().err.splitlines()
    assert code == 1 and report["images"] == 0 and len(errors) == 2
    assert "40 x 40 pixels, which SavedModel saved does not take" in errors[0] and "add --resize" in errors[0]
    assert len(report["networks"]["perceptual"]["sha256"]) == 64


def test_a_file_of_something_else_is_one_line(faces, capsys):
    for name, message in (
        ("clean/0.png", "it is something else"),
        ("gone.npz", "expected the one of --perceptual-net"),
    ):
        code, report = evaluated(faces, faces / name)
        errors = capsys.readouterr().err.splitlines()
        assert code == 2 and report is None and len(errors) == 1 and message in errors[0]


def test_every_file_of_a_folder_is_an_input(faces):
    tf.saved_model.save(OfOneSize(), str(faces / "saved"))
    assert faces / "saved" / "saved_model.pb" in Sources(perceptual_net=faces / "saved").files()
