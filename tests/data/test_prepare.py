"""Images to records and back: lossless, complete or absent, never over something else."""

import hashlib
import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.cli import main
from rethink_fr.data import prepare as prepare_module
from rethink_fr.data.preparation import picture as picture_module
from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.manifest import read_manifest
from rethink_fr.data.sources.opening import open_source
from rethink_fr.data.verify_prepared import verify_prepared
from rethink_fr.pictures.files import square_resize, write_image


def pictures(count, side=24):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture
def originals(tmp_path):
    for number, image in enumerate(pictures(7)):
        write_image(tmp_path / "in" / "ü 顔" / f"{number}.png", image)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path / "in"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_prepared_images_are_the_originals_resized(originals, tmp_path):
    report = prepare(originals, tmp_path / "out", size=16, shard_size=3, progress=False)
    assert (report.written, report.shards, report.enlarged, report.unchanged) == (7, 3, 0, False)
    assert [name for name, _ in report.unreadable] == ["broken.jpg"]
    source = open_source(tmp_path / "out", 16)
    assert source.unreadable == list(report.unreadable)
    for number, image in enumerate(pictures(7)):
        np.testing.assert_array_equal(source.read(number), square_resize(image, 16))
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_tensorflow_reads_the_shards_and_the_manifest_describes_them(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, shard_size=4, progress=False)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] == 1 and manifest["resolution"] == 16 and manifest["records"] == 7
    names = []
    for shard in manifest["shards"]:
        data = (tmp_path / "out" / shard["name"]).read_bytes()
        assert shard["bytes"] == len(data)
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
        examples = list(tf.data.TFRecordDataset(str(tmp_path / "out" / shard["name"])))
        assert len(examples) == shard["records"] == len(shard["offsets"])
        for example in examples:
            feature = tf.train.Example.FromString(example.numpy()).features.feature
            assert tf.io.decode_png(feature["image/encoded"].bytes_list.value[0]).shape == (16, 16, 3)
            names.append(feature["image/name"].bytes_list.value[0].decode())
    assert names == [f"ü 顔/{number}.png" for number in range(7)]


def test_training_smaller_is_allowed_and_larger_is_not(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, progress=False)
    assert open_source(tmp_path / "out", 8).read(0).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="prepared at 16 px, but 32 px are wanted; run `rethink-fr prepare --size 32`"):
        open_source(tmp_path / "out", 32)


def test_images_smaller_than_the_size_are_counted(originals, tmp_path):
    assert prepare(originals, tmp_path / "out", size=32, progress=False).enlarged == 7


def test_preparing_again_changes_nothing(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, shard_size=3, progress=False)
    before = contents(tmp_path / "out")
    report = prepare(originals, tmp_path / "out", size=16, shard_size=3, progress=False)
    assert report.unchanged and report.written == 7 and len(report.unreadable) == 1
    assert contents(tmp_path / "out") == before


def test_the_same_images_give_the_same_bytes(originals, tmp_path):
    for name in ("one", "two"):
        prepare(originals, tmp_path / name, size=16, shard_size=3, progress=False)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_damaged_shards_are_noticed_and_made_again(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, shard_size=3, progress=False)
    before = contents(tmp_path / "out")
    shard = tmp_path / "out" / "images-00001.tfrecord"
    shard.write_bytes(before[shard.name][:-7])
    with pytest.raises(ValueError, match=r"images-00001\.tfrecord: expected \d+ bytes by the manifest"):
        open_source(tmp_path / "out", 16)
    assert not prepare(originals, tmp_path / "out", size=16, shard_size=3, progress=False).unchanged
    assert contents(tmp_path / "out") == before


def test_other_content_is_never_overwritten(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, progress=False)
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="prepared from other files or with other settings"):
        prepare(originals, tmp_path / "out", size=8, progress=False)
    write_image(originals / "more.png", pictures(1)[0])
    with pytest.raises(ValueError, match="prepared from other files"):
        prepare(originals, tmp_path / "out", size=16, progress=False)
    assert contents(tmp_path / "out") == before


def test_a_folder_of_something_else_is_never_touched(originals, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds other files .thesis\.txt"):
        prepare(originals, tmp_path / "out", size=16, progress=False)
    with pytest.raises(ValueError, match="holds other files"):
        prepare(originals, originals, size=16, progress=False)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_file_beside_the_shards_is_not_taken_for_one_of_them(originals, tmp_path):
    """Damaged shards are made again by replacing the folder: nothing else may be in it."""
    prepare(originals, tmp_path / "out", size=16, progress=False)
    (tmp_path / "out" / "images-00000.tfrecord").write_bytes(b"damaged")
    mine = tmp_path / "out" / "mine.tfrecord"
    mine.write_bytes(b"years of work")
    with pytest.raises(ValueError, match=r"holds other files .mine\.tfrecord"):
        prepare(originals, tmp_path / "out", size=16, progress=False)
    # Nor one that a manifest claims.
    path = tmp_path / "out" / "manifest.json"
    content = json.loads(path.read_text())
    content["shards"][0]["name"] = mine.name
    path.write_text(json.dumps(content))
    (tmp_path / "out" / "images-00000.tfrecord").unlink()
    with pytest.raises(ValueError, match=r"holds other files .mine\.tfrecord"):
        prepare(originals, tmp_path / "out", size=16, progress=False)
    assert mine.read_bytes() == b"years of work"


def test_what_comes_into_the_folder_meanwhile_is_not_removed(originals, tmp_path, monkeypatch):
    prepare(originals, tmp_path / "out", size=16, progress=False)
    (tmp_path / "out" / "images-00000.tfrecord").write_bytes(b"damaged")
    decode = picture_module.decode_image

    def decode_while_another_writes(data, name):
        (tmp_path / "out" / "thesis.txt").write_text("years of work")
        return decode(data, name)

    monkeypatch.setattr(picture_module, "decode_image", decode_while_another_writes)
    with pytest.raises(ValueError, match="holds other files"):
        prepare(originals, tmp_path / "out", size=16, progress=False)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "out.unfinished"]


def test_an_output_that_is_a_link_stays_one(originals, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "records")
    prepare(originals, tmp_path / "out", size=16, progress=False)
    (tmp_path / "disk" / "records" / "images-00000.tfrecord").write_bytes(b"damaged")
    assert not prepare(originals, tmp_path / "out", size=16, progress=False).unchanged
    assert (tmp_path / "out").is_symlink() and sorted(os.listdir(tmp_path)) == ["disk", "in", "out"]
    assert os.listdir(tmp_path / "disk") == ["records"]
    assert not verify_prepared(tmp_path / "out", progress=False).wrong


def test_names_that_are_not_unicode_and_pipes_are_told_in_the_manifest(originals, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (originals / name).write_bytes(b"nothing")
    os.mkfifo(originals / "pipe.png")
    report = prepare(originals, tmp_path / "out", size=16, progress=False)
    assert dict(report.unreadable)["pipe.png"] == "is a named pipe, expected a regular file"
    assert read_manifest(tmp_path / "out").unreadable == report.unreadable
    assert name in dict(report.unreadable)


def test_verify_finds_each_kind_of_damage_and_says_where(originals, tmp_path):
    folder = tmp_path / "out"
    prepare(originals, folder, size=16, shard_size=2, progress=False)
    assert verify_prepared(folder, progress=False) == (7, 4, ())
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    shard = folder / "images-00000.tfrecord"
    data = bytearray(shard.read_bytes())
    data[content["shards"][0]["offsets"][1] + 40] ^= 1
    shard.write_bytes(data)
    shard = folder / "images-00001.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1])
    (folder / "images-00002.tfrecord").unlink()
    (folder / "more.tfrecord").write_bytes(b"")
    content["resolution"] = 8
    path.write_text(json.dumps(content))
    wrong = [(name.rsplit("/")[-1], reason) for name, reason in verify_prepared(folder, progress=False).wrong]
    side = "has 16 x 16 pixels, expected 8 x 8"
    assert [(name, reason) for name, reason in wrong if reason != side] == [
        ("images-00000.tfrecord", "is damaged (wrong SHA-256)"),
        ("images-00001.tfrecord", wrong[1][1]),
        ("images-00002.tfrecord", wrong[2][1]),
        ("images-00000.tfrecord record 1", "damaged (wrong CRC)"),
        ("images-00001.tfrecord record 1", "damaged (wrong CRC)"),
        ("more.tfrecord", "is not in the manifest, and not used"),
    ]
    for _, reason in wrong[1:3]:
        assert reason.startswith("expected ") and "bytes by the manifest, found" in reason
    assert [name for name, reason in wrong if reason == side] == [
        "images-00000.tfrecord record 0", "images-00001.tfrecord record 0", "images-00003.tfrecord record 0",
    ]  # fmt: skip


def test_verify_takes_records_without_a_manifest_and_refuses_other_folders(originals, tmp_path):
    prepare(originals, tmp_path / "out", size=16, shard_size=4, progress=False)
    (tmp_path / "out" / "manifest.json").unlink()
    assert verify_prepared(tmp_path / "out", progress=False) == (7, 2, ())
    for folder, message in ((originals, "holds no prepared images"), (tmp_path / "none", "no such folder")):
        with pytest.raises(ValueError, match=message):
            verify_prepared(folder, progress=False)


def test_verify_on_the_command_line(originals, tmp_path, capsys):
    assert main(["prepare", str(originals)]) == 2
    assert "--output DIR is missing" in capsys.readouterr().err
    folder = str(tmp_path / "out")
    assert main(["prepare", str(originals), "--output", folder, "--size", "16"]) == 1  # broken.jpg
    assert main(["prepare", folder, "--verify"]) == 0
    assert "7 images in 1 shards, all of them whole" in capsys.readouterr().out
    (tmp_path / "out" / "images-00000.tfrecord").write_bytes(b"")
    assert main(["prepare", folder, "--verify"]) == 1
    assert "images-00000.tfrecord: expected" in capsys.readouterr().err


def test_an_interrupted_call_goes_on_and_leaves_nothing(originals, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(prepare_module, "Manifest", interrupt)  # all shards are written by then
        with pytest.raises(KeyboardInterrupt):
            prepare(originals, tmp_path / "out", size=16, progress=False)
    assert sorted(os.listdir(tmp_path)) == ["in", "out.unfinished"]
    # A killed process cannot tidy up.
    process = subprocess.Popen(["true"])
    process.wait()
    left = tmp_path / f".rfr-{process.pid}-00112233.tmp"
    left.mkdir()
    (left / "images-00000.tfrecord").write_bytes(b"half")
    assert prepare(originals, tmp_path / "out", size=16, progress=False).written == 7
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_folders_without_a_readable_image_are_errors_and_leave_no_output(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="holds no image files"):
        prepare(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of its 1 image files can be read; the first is a\.png .the file is em"):
        prepare(tmp_path / "in", tmp_path / "out", progress=False)
    assert os.listdir(tmp_path) == ["in"]


def test_an_output_that_cannot_be_made_is_one_line(originals, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ValueError, match="choose another --output") as caught:
            prepare(originals, output, size=16, progress=False)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{"size": 4}, {"shard_size": 0}])
def test_sizes_out_of_range_are_refused(originals, tmp_path, arguments):
    with pytest.raises(ValueError, match="expected a size of at least 8"):
        prepare(originals, tmp_path / "out", **arguments)
