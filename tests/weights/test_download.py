"""Fetching: resumed, checked, there completely or not at all."""

import fcntl
import hashlib
import resource

import numpy as np
import pytest

from rethink_fr.weights.download import DownloadError, download
from tests.weights.http_server import serving

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file.bin"


def names(path) -> list:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_arrives_whole(served, path):
    assert download(served.url, path, SHA256) == SHA256
    assert path.read_bytes() == CONTENT and names(path) == ["file.bin"]
    assert served.asked == [None]


def test_without_a_checksum_it_is_told(served, path):
    assert download(served.url, path) == SHA256


def test_what_broke_off_is_continued(served, path):
    served.stop_after = 1_234_567
    with pytest.raises(DownloadError, match=r"broke off \(1,234,567 of 3,000,000 bytes came\); run the same command"):
        download(served.url, path, SHA256)
    assert names(path) == ["file.bin.part"] and len(path.with_suffix(".bin.part").read_bytes()) == 1_234_567
    served.stop_after = 1_000_000
    with pytest.raises(DownloadError, match="2,234,567 of 3,000,000"):
        download(served.url, path, SHA256)
    download(served.url, path, SHA256)
    assert path.read_bytes() == CONTENT and names(path) == ["file.bin"]
    assert served.asked == [None, "bytes=1234567-", "bytes=2234567-"]


def test_a_server_that_sends_no_parts_begins_again(served, path):
    path.parent.mkdir()
    path.with_suffix(".bin.part").write_bytes(CONTENT[:1000])
    served.ranges = False
    download(served.url, path, SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [3_000_000, 3_000_001])
def test_nothing_is_left_to_ask_for(served, path, length):
    """All of it came, but was not checked any more; or more than all of it: another file."""
    path.parent.mkdir()
    path.with_suffix(".bin.part").write_bytes((CONTENT + b"x")[:length])
    download(served.url, path, SHA256)
    assert path.read_bytes() == CONTENT and names(path) == ["file.bin"]


def test_another_file_is_removed(served, path):
    with pytest.raises(DownloadError, match=f"SHA-256 {SHA256}, expected {'0' * 64}; it was removed"):
        download(served.url, path, "0" * 64)
    assert names(path) == []


def test_parts_of_another_file_are_found_out(served, path):
    path.parent.mkdir()
    path.with_suffix(".bin.part").write_bytes(bytes(1000))
    with pytest.raises(DownloadError, match="it was removed"):
        download(served.url, path, SHA256)
    download(served.url, path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_failed_attempt_leaves_the_old_file(served, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    served.stop_after = 1000
    with pytest.raises(DownloadError):
        download(served.url, path, SHA256)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_one_line(served, path, status):
    served.status = status
    with pytest.raises(DownloadError, match=f"the server answered {status} .*; get the file elsewhere and put it at"):
        download(served.url, path, SHA256)
    assert names(path) == []


def test_without_a_connection_it_says_where_the_file_belongs(served, path):
    dead = served.url.replace("http:", "https:")  # nobody speaks TLS there
    for url in (dead, "http://127.0.0.1:9/file.bin"):
        with pytest.raises(
            DownloadError, match=f"cannot be reached .*fetch it elsewhere and put it at {path}"
        ) as error:
            download(url, path, SHA256)
        assert "\n" not in str(error.value) and names(path) == []


def test_two_processes_do_not_fetch_into_one_file(served, path):
    path.parent.mkdir()
    with open(path.with_suffix(".bin.part"), "ab") as other:
        other.write(CONTENT[:10])
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match=r"file\.bin: another process is fetching it"):
            download(served.url, path, SHA256)
    download(served.url, path, SHA256)
    assert served.asked == ["bytes=10-"]


def test_a_full_disk_is_one_line_and_what_came_stays(served, path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(DownloadError, match="broke off") as caught:
            download(served.url, path, SHA256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and names(path) == ["file.bin.part"]
    assert download(served.url, path, SHA256) == SHA256  # the rest
    assert served.asked[-1] == f"bytes={1 << 20}-"
