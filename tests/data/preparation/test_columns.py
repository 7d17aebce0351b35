"""Identities and landmarks: from a CSV file or folders, through crop and size, into records and back."""

import json

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.cli import main
from rethink_fr.data.preparation.columns import read_columns
from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.opening import open_source
from rethink_fr.evaluation.pairs import read_identities
from rethink_fr.pictures.files import write_image


@pytest.fixture
def originals(tmp_path):
    """Black pictures of 40 x 24 px with one white pixel, at (10 + 2 n, 6 + n)."""
    for number in range(4):
        image = np.zeros((24, 40, 3), np.uint8)
        image[6 + number, 10 + 2 * number] = 255
        write_image(tmp_path / "in" / f"person {number // 2}" / f"{number}.png", image)
    return tmp_path / "in"


def table(tmp_path, *lines):
    (tmp_path / "columns.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "columns.csv"


def lines(last=4):
    return [f"person {n // 2}/{n}{'.png' if n % 2 else ''},{'ab'[n // 2]},{10 + 2 * n},{6 + n},x" for n in range(last)]


def test_columns_of_a_csv_go_into_records_and_landmarks_follow_the_picture(originals, tmp_path):
    path = table(tmp_path, "name,identity,dot_x,dot_y,other", *lines())
    report = prepare(originals, tmp_path / "out", size=24, columns=path, shard_size=3, progress=False)
    assert report.written == 4 and not report.unreadable
    source = open_source(tmp_path / "out", 24)
    for number, found in enumerate(source.columns()):
        assert (found.name, found.identity) == (f"person {number // 2}/{number}.png", "ab"[number // 2])
        ((x, y),) = found.landmarks  # where the white pixel is: the square begins at column 8
        assert source.read(number)[int(y), int(x)].min() == 255
    # At another size both are where they were: a pixel becomes a block of 4 x 4, whose middle is between pixels.
    prepare(originals, tmp_path / "large", size=96, columns=path, progress=False)
    large = [found.landmarks[0] for found in open_source(tmp_path / "large", 96).columns()]
    np.testing.assert_allclose(large, [[(2 + 2 * n) * 4 + 1.5, (6 + n) * 4 + 1.5] for n in range(4)])
    halved = [found.landmarks[0] for found in open_source(tmp_path / "large", 48).columns()]
    np.testing.assert_allclose(halved, (np.array(large) + 0.5) / 2 - 0.5)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"] == {
        "identities": True,
        "landmarks": ["dot"],
    }
    # TensorFlow reads them too.
    record = next(iter(tf.data.TFRecordDataset(str(tmp_path / "out" / "images-00000.tfrecord"))))
    schema = {
        "image/identity": tf.io.FixedLenFeature([], tf.string),
        "image/landmarks": tf.io.FixedLenFeature([1, 2], tf.float32),
    }
    parsed = tf.io.parse_single_example(record, schema)
    assert parsed["image/identity"].numpy() == b"a" and parsed["image/landmarks"].numpy().tolist() == [[2.0, 6.0]]


def test_pictures_without_a_line_are_listed(originals, tmp_path, capfd):
    path = table(tmp_path, "name,identity", *("".join(f"{line.split(',')[0]},a") for line in lines(3)))
    arguments = ["prepare", str(originals), "--output", str(tmp_path / "out"), "--size", "16", "--columns", str(path)]
    assert main(arguments) == 1
    assert "person 1/3.png: has no line in the file of --columns" in capfd.readouterr().err
    assert len(open_source(tmp_path / "out", 16)) == 3
    # Another file of columns is another preparation.
    table(tmp_path, "name,identity", "person 0/0,b")
    assert main(arguments) == 2
    assert "prepared from other files or with other settings" in capfd.readouterr().err


def test_folders_are_identities_and_evaluate_reads_them(originals, tmp_path):
    write_image(originals / "stray.png", np.zeros((16, 16, 3), np.uint8))
    report = prepare(originals, tmp_path / "out", size=16, folder_identities=True, progress=False)
    assert report.unreadable == (("stray.png", "lies in no folder that would say who is on it"),)
    names = [f"person {n // 2}/{n}" for n in range(4)]
    assert read_identities(tmp_path / "out", names) == {name: name.split("/")[0] for name in names}
    with pytest.raises(ValueError, match="no identity for stray; add a line for each image"):
        read_identities(tmp_path / "out", ["stray"])
    with pytest.raises(ValueError, match="expected a CSV file, or a folder made by"):
        read_identities(originals, names)
    with pytest.raises(ValueError, match="has identities; expected none where folders are identities"):
        prepare(originals, tmp_path / "o", columns=table(tmp_path, "name,identity", "a,b"), folder_identities=True)


def test_records_without_columns_are_as_they_were(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, progress=False)
    assert "settings" not in json.loads((tmp_path / "out" / "manifest.json").read_text())
    record = next(iter(tf.data.TFRecordDataset(str(tmp_path / "out" / "images-00000.tfrecord"))))
    assert sorted(tf.train.Example.FromString(record.numpy()).features.feature) == ["image/encoded", "image/name"]
    (first, *_) = open_source(tmp_path / "out", 16).columns()
    assert first == ("person 0/0.png", None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a first line with the columns 'name' and"),
        (["name"], "expected a first line with the columns"),
        (["name,identity,identity", "a,b,c"], "expected a first line with the columns .* each once"),
        (["name,identity"], "has no line after the first"),
        (["name,identity", "a,"], "line 2 lacks an identity"),
        (["name,identity", ",b"], "line 2 lacks a name"),
        (["name,identity", "a,b", "", "a,c"], "line 4 says otherwise of a than one before"),
        (["name,eye_x,eye_y", "a,1"], "line 2 has no two numbers for the landmark eye"),
        (["name,eye_x,eye_y", "a,1,two"], "line 2 has no two numbers for the landmark eye"),
        (["name,eye_x,eye_y", "a,1,nan"], "line 2 has a landmark that is no finite number"),
        (["name,eye_x,eye_y", "a,1,2", "a,1,3"], "line 3 says otherwise of a"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_columns(table(tmp_path, *content))
    assert "\n" not in str(caught.value)
