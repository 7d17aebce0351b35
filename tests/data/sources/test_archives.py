"""Zip and tar files as folders of pictures: what is in them, what is damaged, what is hostile."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest

from rethink_fr.data.prepare import prepare
from rethink_fr.data.sources.archives import Archive
from rethink_fr.data.sources.opening import open_source
from rethink_fr.data.sources.picture_files import open_with_archives
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.pictures.files import encode_png, square_resize

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
PNG = [encode_png(image) for image in PIXELS]


def write_tar(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_pictures_of_folders_and_archives_are_one_row(tmp_path):
    root = tmp_path / "in"
    write_zip(root / "b" / "faces.zip", [("x/1.png", PNG[1]), ("x/notes.txt", b""), ("__MACOSX/._1.png", b"no")])
    # As webdataset writes them: files of one sample side by side.
    write_tar(root / "c.tar", [("0002.png", PNG[2]), ("0002.json", b"{}"), ("0003.png", PNG[3])])
    (root / "d").mkdir()
    (root / "d" / "4.png").write_bytes(PNG[4])
    (root / "a.png").write_bytes(PNG[0])
    names = ["a.png", "b/faces.zip/x/1.png", "c.tar/0002.png", "c.tar/0003.png", "d/4.png"]
    assert open_with_archives(root).names == names
    report = prepare(root, tmp_path / "out", size=16, progress=False)
    assert report.written == 5 and not report.unreadable
    source = open_source(tmp_path / "out", 16)
    assert [found.name for found in source.columns()] == names
    for number, image in enumerate(PIXELS):
        np.testing.assert_array_equal(source.read(number), square_resize(image, 16))


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_one_archive_is_prepared_as_the_folder_it_was_made_of(write, tmp_path):
    name = "faces.tar" if write is write_tar else "faces.zip"
    archive = write(tmp_path / name, [(f"s/{number}.png", data) for number, data in enumerate(PNG)])
    for number, data in enumerate(PNG):
        (tmp_path / "in" / "s").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "s" / f"{number}.png").write_bytes(data)
    for given, output in ((archive, "one"), (tmp_path / "in", "two")):
        prepare(given, tmp_path / output, size=16, shard_size=2, progress=False)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / output).iterdir()} for output in ("one", "two"))
    assert one == two


def test_a_damaged_archive_in_a_folder_is_listed_and_the_others_are_used(tmp_path):
    write_tar(tmp_path / "in" / "whole.tar", [("0.png", PNG[0])])
    for name in ("bad.zip", "bad.tar", "bad.tar.gz"):
        (tmp_path / "in" / name).write_bytes(b"nothing of the kind" * 100)
    report = prepare(tmp_path / "in", tmp_path / "out", size=16, progress=False)
    assert report.written == 1
    assert [name for name, _ in report.unreadable] == ["bad.tar", "bad.tar.gz", "bad.zip"]
    assert "decompress it to .tar first" in dict(report.unreadable)["bad.tar.gz"]


def test_a_tar_is_refused_wherever_it_ends_or_a_header_is_damaged(tmp_path):
    data = write_tar(tmp_path / "a.tar", [(f"{number}.png", PNG[number]) for number in range(3)]).read_bytes()
    path, ends = tmp_path / "b.tar", sum(512 + -(-len(png) // 512) * 512 for png in PNG[:3])
    for length in [*range(0, ends, 300), ends]:
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableFile, match="a damaged archive"):
            Archive(path)
    second = 512 + -(-len(PNG[0]) // 512) * 512
    path.write_bytes(data[: second + 3] + b"?" + data[second + 4 :])
    with pytest.raises(UnreadableFile, match="a damaged archive"):
        Archive(path)


def test_members_that_are_no_plain_pictures_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"{kind!r}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in ("../../up.png", "/root.png", "twice.png", "twice.png"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(name[:1].encode()))
    archive = Archive(tmp_path / "a.tar")
    assert archive.names == ["/root.png", "twice.png"] and archive.read("twice.png", 9) == b"t"
    with pytest.raises(UnreadableFile, match="has 1 bytes, expected at most 0"):
        archive.read("twice.png", 0)


def test_a_zip_that_says_less_than_it_holds_takes_no_memory(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("bomb.png", bytes(50_000_000))])
    archive = Archive(path)
    with pytest.raises(UnreadableFile, match="has 50,000,000 bytes, expected at most 1,000"):
        archive.read("bomb.png", 1000)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24  # its size in the directory
    data[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match="a damaged archive|or more where"):
        Archive(path).read("bomb.png", 1000)


def test_mutated_archives_are_read_or_refused(tmp_path):
    generator, refused = np.random.default_rng(1), 0
    members = [(f"{number}.png", PNG[number]) for number in range(3)]
    for path in (write_tar(tmp_path / "a.tar", members), write_zip(tmp_path / "a.zip", members)):
        whole = path.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for place in generator.integers(0, len(data), 4):
                data[place] = generator.integers(0, 256)
            path.write_bytes(data)
            try:
                archive = Archive(path)
                for name in archive.names:
                    archive.read(name, 1 << 20)
            except UnreadableFile as error:
                refused += 1
                assert "\n" not in str(error) and os.fspath(path) == error.name
    assert refused > 20
