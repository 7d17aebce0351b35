"""Objects on a real S3-compatible server."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rethink_fr.files import reading, stores
from rethink_fr.files.outputs import OutputError, check_folder
from rethink_fr.files.writing import WriteError, new_folder
from tests.command_line import ROOT


def test_what_is_written_is_read_at_any_position(bucket):
    data = os.urandom(3_000_000)
    place = Path(bucket.address) / "a folder" / "ü.bin"
    stores.write_object(place, data)
    assert bucket.contents() == {"a folder/ü.bin": data}
    assert stores.size(place) == len(data) and stores.is_folder(place.parent) and not stores.is_folder(place)
    assert reading.read_bytes(place, 1 << 22) == data
    with reading.open_regular(place, 1 << 22) as file:
        file.seek(2_000_000)
        assert file.read(10) == data[2_000_000:2_000_010]
        assert file.seek(0, os.SEEK_END) == len(data) and file.read(1) == b""
    with pytest.raises(reading.UnreadableFile, match="expected|more than"):
        reading.read_bytes(place, 1000)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (16 << 20) + 1])
def test_blocks_are_the_whole_object(bucket, size):
    data = os.urandom(size)
    stores.write_object(Path(bucket.address) / "x", data)
    digest = hashlib.sha256()
    for block in stores.blocks(Path(bucket.address) / "x"):
        digest.update(block)
    assert digest.digest() == hashlib.sha256(data).digest()


def test_folders_are_listed_without_asking_for_each_picture(bucket, monkeypatch):
    for key in ("f/b.png", "f/a/c.PNG", "f/a/deep/d.txt", "other/e.png"):
        bucket.put(key, b"x")
    place, asked = Path(bucket.address) / "f", []
    is_folder = stores.is_folder
    monkeypatch.setattr(stores, "is_folder", lambda path: asked.append(path.name) or is_folder(path))
    names = list(stores.names_below(place, lambda name: name.lower().endswith(".png")))
    assert names == ["a/c.PNG", "a/deep/d.txt", "b.png"]
    assert asked == ["a", "deep", "d.txt"]
    assert stores.folder_names(Path(bucket.address) / "nothing") == []


def test_what_is_not_there_is_said_in_one_line(bucket):
    for missing in (Path(bucket.address) / "x", Path("s3://no-such-bucket/x")):
        with pytest.raises(reading.UnreadableFile, match=f"{missing.name}: nothing is there, or its store cannot be"):
            reading.read_bytes(missing, 100)
        assert stores.size(missing) is None
        stores.remove(Path(bucket.address) / "x")
    with pytest.raises(OSError, match="nothing is there"):
        stores.write_object(Path("s3://no-such-bucket/x"), b"data")


def test_a_store_that_does_not_answer_is_not_an_empty_one(bucket, monkeypatch):
    monkeypatch.setattr(stores, "folder_names", lambda path: [])
    with pytest.raises(OSError, match="does not list what was just written"):
        stores.listing_before_writing(Path(bucket.address) / "f")
    assert bucket.contents() == {}


def test_a_folder_is_useful_to_readers_only_when_it_is_complete(bucket, monkeypatch):
    """Killed at each change: what readers look for first is there with all the rest, or not at all."""
    write, remove = stores.write_object, stores.remove
    changes = stop_after = 0

    def counted(change):
        def limited(*arguments):
            nonlocal changes
            if changes == stop_after:
                raise KeyboardInterrupt
            changes += 1
            change(*arguments)

        return limited

    monkeypatch.setattr(stores, "write_object", counted(write))
    monkeypatch.setattr(stores, "remove", counted(remove))
    seen = []
    for stop_after in range(20):  # noqa: B007 (read by `limited`)
        for key in bucket.contents():
            bucket.remove(key)
        for key in ("manifest", "a", "old"):
            bucket.put(f"f/{key}", b"1")
        changes = 0
        try:
            with new_folder(Path(bucket.address) / "f", replace=True, last="manifest") as folder:
                (folder / "sub").mkdir()
                for name in ("manifest", "a", "sub/b"):
                    (folder / name).write_bytes(b"2")
        except KeyboardInterrupt:
            pass
        else:
            break
        there = {name: data for name, data in bucket.contents("f/").items() if not name.startswith(".rfr")}
        seen.append(there)
        if "manifest" in there:
            assert there in ({"manifest": b"1", "a": b"1", "old": b"1"}, {"manifest": b"2", "a": b"2", "sub/b": b"2"})
    assert len(seen) == 7
    there = bucket.contents("f/")
    assert {name: there[name] for name in there if not name.startswith(".rfr")} == {
        "manifest": b"2", "a": b"2", "sub/b": b"2"
    }  # fmt: skip


def test_what_a_command_did_not_make_is_not_replaced(bucket):
    bucket.put("f/foreign", b"x")
    place = Path(bucket.address) / "f"
    check_folder(Path(bucket.address) / "new", [], False, ("mine",))
    with pytest.raises(OutputError, match="is not empty; choose another --output, or add --overwrite"):
        check_folder(place, [], False, ("mine",))
    with pytest.raises(OutputError, match="holds foreign, which this command does not make"):
        check_folder(place, [], True, ("mine",))
    with pytest.raises(OutputError, match=f"holds the input {bucket.address}/f/foreign"):
        check_folder(place, [place / "foreign"], True, ("foreign",))
    with (
        pytest.raises(WriteError, match="s3://no-such-bucket/f: cannot be written"),
        new_folder("s3://no-such-bucket/f"),
    ):
        pass


def test_copying_objects_leaves_tensorflow_s_devices_to_those_who_come_later(bucket, tmp_path):
    """A strategy of several machines, or several logical devices, cannot be had once TensorFlow has computed."""
    bucket.put("f/x", os.urandom(3_000_000))
    code = (
        "import sys; from pathlib import Path; from rethink_fr.files import stores\n"
        "stores.fetch(Path(sys.argv[1]), list(stores.names_below(Path(sys.argv[1]))), Path(sys.argv[2]))\n"
        "stores.write_object(Path(sys.argv[1]) / 'y', Path(sys.argv[2]) / 'x')\n"
        "import tensorflow as tf; device = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "assert len(tf.config.list_logical_devices('CPU')) == 2; sys.exit(7)"
    )
    arguments = [sys.executable, "-c", code, f"{bucket.address}/f", str(tmp_path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert len(set(bucket.contents("f/").values())) == 1 and len(bucket.contents("f/")) == 2
