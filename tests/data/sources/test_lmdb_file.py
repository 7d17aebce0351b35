"""LMDB files: read as the library that made them reads them, and refused in one line when they are damaged."""

import struct
import time

import lmdb
import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.data.sources.lmdb_file import LmdbFile
from rethink_fr.data.sources.opening import open_source
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.pictures.files import encode_png

LIMIT = 1 << 20
PAGE = 4096


def make(folder, entries, removed=()):
    """An LMDB of several transactions, so that pages were freed and written again."""
    with lmdb.open(str(folder), map_size=1 << 28, sync=False) as environment:
        for number, (key, value) in enumerate(entries.items()):
            if number % 500 == 0:
                with environment.begin(write=True) as transaction:
                    transaction.put(b"0", b"for a while")
            with environment.begin(write=True) as transaction:
                transaction.put(key.encode(), value)
        with environment.begin(write=True) as transaction:
            transaction.delete(b"0")
            for key in removed:
                transaction.delete(key.encode())
    return folder / "data.mdb"


def photos(count=6, side=24):
    pictures = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return {f"{number:08d}": encode_png(picture) for number, picture in enumerate(pictures)}


@pytest.fixture
def faces(tmp_path):
    """A set as BasicSR makes it."""
    path = make(tmp_path / "faces.lmdb", photos())
    lines = [f"{name}.png (24,24,3) 1\n" for name in photos()]
    (path.parent / "meta_info.txt").write_text("".join(lines))
    return path


def test_every_value_is_read_as_the_library_reads_it(tmp_path):
    random = np.random.default_rng(0)
    sizes = random.choice([0, 1, 100, 2000, 2030, 2040, 4080, 4081, 9000, 70_000], 1500)
    entries = {f"ü{number:05d}": random.bytes(int(size)) for number, size in enumerate(sizes)}
    removed = list(entries)[3::7]
    path = make(tmp_path / "faces.lmdb", entries, removed)
    read = LmdbFile(path, LIMIT)
    with lmdb.open(str(path.parent), readonly=True, lock=False) as environment, environment.begin() as transaction:
        there = {key.decode(): bytes(value) for key, value in transaction.cursor()}
    assert list(read) == list(there) and len(there) == 1500 - len(removed)
    assert all(read.read(key) == value for key, value in there.items())


def test_an_empty_one_and_an_unknown_key(tmp_path, faces):
    assert list(LmdbFile(make(tmp_path / "empty", {}), LIMIT)) == []
    read = LmdbFile(faces, LIMIT)
    with pytest.raises(UnreadableFile, match="has no key 'x'"):
        read.read("x")
    with pytest.raises(UnreadableFile, match=r"has 1,\d+ bytes, expected at most 1,000"):
        LmdbFile(faces, 1000).read("00000001")


def test_it_is_a_source_of_pictures_and_an_input_of_prepare(faces, tmp_path, capfd):
    source = open_source(faces.parent, 24)
    assert len(source) == 6 and source.pictures.kind == "pictures" and list(source.pictures.sha256) == list(photos())
    assert main(["prepare", str(faces.parent), "--output", str(tmp_path / "records"), "--size", "24"]) == 0
    records = open_source(tmp_path / "records", 24)
    for number in range(6):
        np.testing.assert_array_equal(records.read(number), source.read(number))
    assert capfd.readouterr().out.startswith("6 images in 1 shards")


def test_values_that_are_no_pictures_are_listed(tmp_path, capfd):
    path = make(tmp_path / "faces.lmdb", {**photos(), "broken": b"not a picture"})
    source = open_source(path.parent, 24)
    assert len(source) == 6
    assert source.unreadable[0][0] == f"{path.parent}/broken" and "not an image" in source.unreadable[0][1]


def test_it_is_read_on_an_object_store_too(faces, bucket):
    bucket.upload(faces.parent, "faces.lmdb")
    remote, local = open_source(f"{bucket.address}/faces.lmdb", 24), open_source(faces.parent, 24)
    assert len(remote) == 6
    for number in range(6):
        np.testing.assert_array_equal(remote.read(number), local.read(number))


def refused(path, match):
    with pytest.raises(UnreadableFile, match=match):
        LmdbFile(path, LIMIT)


def test_what_is_no_lmdb_is_refused(tmp_path, faces):
    path = tmp_path / "data.mdb"
    for data, match in ((b"", "not an LMDB"), (b"x" * 10_000, "not an LMDB"), (faces.read_bytes()[:100], "truncated")):
        path.write_bytes(data)
        refused(path, match)


def test_a_truncated_one_is_refused_wherever_it_ends(tmp_path, faces):
    """Here the library dies of SIGBUS, and so does tensorflow-io."""
    data, path = faces.read_bytes(), tmp_path / "data.mdb"
    used = max(offset + length for offset, length in LmdbFile(faces, LIMIT)._places.values())
    for size in range(0, used, 509):
        path.write_bytes(data[:size])
        refused(path, "truncated|points beyond")


def leaves(data):
    """Offset of each entry of each leaf."""
    for page in range(0, len(data), PAGE):
        flags, lower = struct.unpack_from("<HH", data, page + 10)
        if flags == 2:
            for index in range((lower - 16) // 2):
                yield page + struct.unpack_from("<H", data, page + 16 + 2 * index)[0]


def test_sizes_and_places_that_cannot_be_are_refused(tmp_path, faces):
    path = tmp_path / "data.mdb"

    def changed(offset, form, *values):
        data = bytearray(faces.read_bytes())
        for entry in leaves(data):
            struct.pack_into(form, data, entry + offset, *values)
        path.write_bytes(data)

    changed(0, "<HH", 0xFFFF, 0xFFFF)  # a value of 4 GB
    refused(path, "lies outside|points beyond")
    changed(6, "<H", 0xFFFF)  # a key of 64 KB
    refused(path, "lies outside")
    changed(4, "<H", 0x02)  # a database within
    refused(path, "named databases")
    changed(8, "<8s", b"\xff" * 8)
    refused(path, "no UTF-8")
    changed(8, "<8s", b"/../../x")
    refused(path, "no name of a picture")
    data = bytearray(faces.read_bytes())
    for meta in (0, PAGE):
        struct.pack_into("<Q", data, meta + 16 + 24 + 48 + 40, 1 << 60)
    path.write_bytes(data)
    refused(path, "points beyond")


def test_pages_that_point_at_each_other_are_refused(tmp_path):
    path = make(tmp_path / "faces.lmdb", {f"{number:05d}": b"x" * 100 for number in range(400)})
    data = bytearray(path.read_bytes())
    for page in range(0, len(data), PAGE):
        flags, lower = struct.unpack_from("<HH", data, page + 10)
        if flags == 1:
            for index in range((lower - 16) // 2):
                entry = page + struct.unpack_from("<H", data, page + 16 + 2 * index)[0]
                struct.pack_into("<HHH", data, entry, page // PAGE, 0, 0)
    path.write_bytes(data)
    refused(path, "point at each other")


def test_1000_mutated_files_are_read_or_refused(tmp_path, faces):
    original, path, random = faces.read_bytes(), tmp_path / "data.mdb", np.random.default_rng(0)
    places = [*range(16, 152), *range(PAGE + 16, PAGE + 152)]
    places += [at + byte for at in leaves(original) for byte in range(16)]
    started, refusals = time.monotonic(), 0
    for _ in range(1000):
        data = bytearray(original)
        for at in random.choice(places, int(random.integers(1, 5))):
            data[at] = int(random.integers(256))
        path.write_bytes(data)
        try:
            read = LmdbFile(path, LIMIT)
            for key in read:
                read.read(key)
        except UnreadableFile as error:
            refusals += 1
            assert "\n" not in str(error) and len(str(error)) < 400
    assert refusals > 300 and time.monotonic() - started < 60


def test_a_damaged_one_is_one_line_for_the_user(faces, tmp_path, capfd):
    faces.write_bytes(faces.read_bytes()[:9000])
    arguments = ["--set", f"data.train={faces.parent}", "--set", "data.validation=holdout", "--output"]
    assert main(["train", "--config", "smoke_64", *arguments, str(tmp_path / "run")]) == 2
    assert main(["prepare", str(faces.parent), "--output", str(tmp_path / "records")]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line and not line.endswith(", loading")]
    assert len(lines) == 2 and all("a damaged LMDB file (truncated" in line for line in lines), lines
