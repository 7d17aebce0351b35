"""Sources of clean images: drawn, from a folder, from records, from memory."""

import importlib.util
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.data.sources import record_files as records
from rethink_fr.data.sources.manifest import DamagedRecordsError
from rethink_fr.data.sources.opening import (
    DrawnSource,
    FolderSource,
    MemorySource,
    RecordSource,
    holdout_size,
    open_source,
    split_holdout,
)
from rethink_fr.data.sources.record_files import scan_offsets
from rethink_fr.pictures.files import UnreadableImage, encode_png, square_resize, write_image


def pictures(count, side=16):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number, image in enumerate(pictures(5)):
        write_image(tmp_path / "set" / f"{number}.png", image)
    return tmp_path / "set"


def write_records(path, images, key=records.IMAGE_KEY, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for image in images:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode_png(image)]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={key: feature})).SerializeToString())


# --- folders ---


@pytest.mark.parametrize("cache_bytes", [0, 10**6])
def test_a_folder_gives_its_images_resized_with_or_without_memory(folder, cache_bytes):
    source = FolderSource(folder, 8, cache_bytes=cache_bytes)
    assert len(source) == 5 and source.resolution == 8 and source.unreadable == []
    for number, image in enumerate(pictures(5)):
        np.testing.assert_array_equal(source.read(number), square_resize(image, 8))


@pytest.mark.parametrize("cache_bytes", [0, 10**6])
def test_unreadable_files_are_left_out_and_listed(folder, cache_bytes):
    (folder / "1.png").write_bytes(b"")
    (folder / "2a.jpg").write_text("no picture")
    source = FolderSource(folder, 16, cache_bytes=cache_bytes)
    assert [(name.rsplit("/")[-1], reason) for name, reason in source.unreadable] == [
        ("1.png", "the file is empty"),
        ("2a.jpg", "not an image in a known format (JPEG, PNG, WEBP, TIFF, BMP)"),
    ]
    expected = pictures(5)[[0, 2, 3, 4]]
    np.testing.assert_array_equal([source.read(number) for number in range(len(source))], expected)
    assert [name.rsplit("/")[-1] for name in source.names] == ["0.png", "2.png", "3.png", "4.png"]


def test_a_folder_is_decoded_once_when_it_fits_in_memory(folder):
    source = FolderSource(folder, 16)
    for path in folder.iterdir():
        path.unlink()
    np.testing.assert_array_equal(source.read(3), pictures(5)[3])


def test_a_file_that_vanishes_later_is_named(folder):
    source = FolderSource(folder, 16, cache_bytes=0)
    (folder / "3.png").unlink()
    with pytest.raises(UnreadableImage, match=r"3\.png: No such file"):
        source.read(3)


def test_an_empty_folder_and_one_of_only_corrupt_files_are_errors(tmp_path):
    with pytest.raises(ValueError, match="holds no image files"):
        FolderSource(tmp_path, 16)
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"none of its 2 image files can be read; the first is .*a\.png"):
        FolderSource(tmp_path, 16)


# --- records ---


def test_records_of_any_writer_are_read_at_random(tmp_path):
    images = pictures(7)
    write_records(tmp_path / "a.tfrecord", images[:3])
    write_records(tmp_path / "b.tfrecord", images[3:])
    source = open_source(tmp_path, 16)
    assert isinstance(source, RecordSource) and len(source) == 7
    for number in (6, 0, 3, 2, 6):
        np.testing.assert_array_equal(source.read(number), images[number])


def test_a_truncated_shard_is_named_when_the_source_is_opened(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, pictures(3))
    whole = path.read_bytes()
    for end in (len(whole) - 1, len(whole) - 5, len(whole) // 2, 5):
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedRecordsError, match=r"a\.tfrecord: (ends inside record|no TFRecord header)"):
            RecordSource(tmp_path, 16)


def test_a_flipped_bit_is_noticed_when_the_record_is_read(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, pictures(3))
    data = bytearray(path.read_bytes())
    data[scan_offsets(path)[1] + 300] ^= 1
    path.write_bytes(data)
    source = RecordSource(tmp_path, 16)
    source.read(0)
    with pytest.raises(UnreadableImage, match=r"a\.tfrecord record 1: damaged .wrong CRC"):
        source.read(1)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"not records at all"), "no TFRecord header"),
        (lambda path: path.write_bytes(b""), "hold no record"),
        (lambda path: write_records(path, pictures(2), compression="GZIP"), "compressed"),
    ],
)
def test_files_that_are_no_records_are_refused_at_once(tmp_path, write, message):
    write(tmp_path / "a.tfrecord")
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path, 16)


def test_records_without_images_say_which_feature_is_missing(tmp_path):
    write_records(tmp_path / "a.tfrecord", pictures(1), key="image")
    with pytest.raises(UnreadableImage, match="'image/encoded' with one image .features found: image"):
        RecordSource(tmp_path, 16).read(0)
    (tmp_path / "a.tfrecord").write_bytes(records.frame_record(b"\xff\xff no example"))
    with pytest.raises(UnreadableImage, match="features found: none"):
        RecordSource(tmp_path, 16).read(0)


SHARD = {"name": "a.tfrecord", "records": 1, "bytes": 99, "sha256": 64 * "0", "offsets": [0]}
MANIFEST = {"version": 1, "resolution": 16, "source_sha256": "", "enlarged": 0, "shards": [SHARD], "unreadable": []}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        "9" * 5000,
        {"version": 99},
        {**MANIFEST, "shards": [{"name": "a"}]},
        {**MANIFEST, "shards": [SHARD, SHARD]},
        {**MANIFEST, "shards": 7},
        {**MANIFEST, "resolution": 1 << 40},
        {**MANIFEST, "unreadable": [7]},
        *(
            {**MANIFEST, "shards": [{**SHARD, "name": name}]}
            for name in ("../a.tfrecord", "/etc/passwd", "..", "", "a\0")
        ),
        *({**MANIFEST, "shards": [{**SHARD, "offsets": [place]}]} for place in (-1, 84, 1 << 80, 0.5, "0", None, True)),
        {**MANIFEST, "shards": [{**SHARD, "records": 2, "offsets": [50, 0]}]},
        {**MANIFEST, "shards": [{**SHARD, "records": 2}]},
        {**MANIFEST, "shards": [{**SHARD, "bytes": -1}]},
        {**MANIFEST, "shards": [{**SHARD, "bytes": 10**30}]},
        {**MANIFEST, "shards": [{**SHARD, "sha256": "0"}]},
    ],
)
def test_a_manifest_that_cannot_be_true_is_refused_in_one_line(tmp_path, content):
    write_records(tmp_path / "a.tfrecord", pictures(1))
    (tmp_path / "manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(
        DamagedRecordsError, match=r"manifest\.json: .*remove the folder and run prepare again"
    ) as caught:
        open_source(tmp_path, 16)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_manifest_of_a_larger_file_is_refused(tmp_path):
    write_records(tmp_path / "a.tfrecord", pictures(1))
    size = (tmp_path / "a.tfrecord").stat().st_size
    shard = {**SHARD, "bytes": size + 100, "offsets": [size + 10]}
    (tmp_path / "manifest.json").write_text(json.dumps({**MANIFEST, "shards": [shard]}))
    with pytest.raises(DamagedRecordsError, match=f"expected {size + 100} bytes by the manifest, found {size}"):
        open_source(tmp_path, 16)


def test_pipes_in_place_of_shards_and_manifests_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tfrecord")
    with pytest.raises(ValueError, match="is a named pipe, expected a regular file"):
        open_source(tmp_path, 16)
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(DamagedRecordsError, match="is a named pipe"):
        open_source(tmp_path, 16)


# --- drawn, memory ---


@pytest.mark.skipif(
    importlib.util.find_spec("rethink_fr.drawn_faces.face") is None, reason="the drawn faces are not installed"
)
def test_drawn_faces_go_through_one_person_after_the_other():
    from rethink_fr.drawn_faces.face import draw_face

    source = open_source("builtin", 32, first_identity=7, identities=2, pictures=3)
    assert isinstance(source, DrawnSource) and len(source) == 6 and source.unreadable == []
    for index, (identity, picture) in enumerate([(7, 0), (7, 1), (7, 2), (8, 0), (8, 1), (8, 2)]):
        np.testing.assert_array_equal(source.read(index), draw_face(identity, picture, 32).image)


def test_memory_takes_only_square_uint8():
    images = pictures(3)
    np.testing.assert_array_equal(MemorySource(images).read(2), images[2])
    for wrong in (images.astype(np.float32), images[0], images[:, :8], images[..., :1]):
        with pytest.raises(ValueError, match=r"uint8 \[N, R, R, 3\]"):
            MemorySource(wrong)


def test_images_that_do_not_exist_are_refused(folder):
    for source in (FolderSource(folder, 16), MemorySource(pictures(5))):
        for index in (-1, 5):
            with pytest.raises(IndexError, match=f"no image {index}; there are 5"):
                source.read(index)


def test_what_is_kept_in_memory_cannot_be_written_to(folder):
    image = FolderSource(folder, 16).read(0)
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


# --- choosing and splitting ---


def test_a_folder_of_images_is_opened_as_one(folder):
    assert isinstance(open_source(folder, 16), FolderSource)


def test_a_place_that_is_nothing_is_refused_in_one_line(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for where, what in ((tmp_path / "missing", "no such folder"), (tmp_path / "a.png", "is a file")):
        with pytest.raises(ValueError, match=f"{what}; expected 'builtin', a folder of images") as caught:
            open_source(where, 16)
        assert "\n" not in str(caught.value)


def test_the_holdout_is_the_end_and_nothing_is_lost_or_shared():
    images = pictures(10)
    train, validation = split_holdout(MemorySource(images), 3)
    np.testing.assert_array_equal([train.read(index) for index in range(len(train))], images[:7])
    np.testing.assert_array_equal([validation.read(index) for index in range(len(validation))], images[7:])
    assert train.resolution == validation.resolution == 16


@pytest.mark.parametrize("count", [0, 10, 11])
def test_a_holdout_that_leaves_nothing_is_refused(count):
    with pytest.raises(ValueError, match="expected 1 to 9"):
        split_holdout(MemorySource(pictures(10)), count)


@pytest.mark.parametrize("total, wanted, expected", [(100, 64, 64), (100, 99, 99), (100, 100, 25), (100, 256, 25)])
def test_a_holdout_that_does_not_fit_is_a_quarter(total, wanted, expected):
    assert holdout_size(total, wanted) == expected
