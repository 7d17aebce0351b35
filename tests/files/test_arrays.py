"""NPZ files that are damaged, foreign or announce more than there is: one line each, and no memory for it."""

import io
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from rethink_fr.files.arrays import read_npz
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.metrics import load_fid_statistics, load_niqe_statistics


def npy(header: str, data: bytes = b"", version: tuple = (1, 0)) -> bytes:
    width = "<H" if version == (1, 0) else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, len(header)) + header.encode("latin1") + data


def header(shape, kind: str = "<f8") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"


def write(path, members: dict, compression: int = zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
    generator = np.random.default_rng(0)
    arrays = {
        "a": generator.normal(size=[3, 4]),
        "b": np.asfortranarray(generator.normal(size=[5, 2]).astype(">f4")),
        "c": np.int64(3),
        "d": np.zeros([0, 3], np.float16),
    }
    save(tmp_path / "a.npz", **arrays)
    read = read_npz(tmp_path / "a.npz")
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.asarray(array).dtype
    assert set(read_npz(tmp_path / "a.npz", ["b"])) == {"b"}


HUGE = (10**6, 10**6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(header(HUGE)), r"mu has the shape \[1000000, 1000000\]: more than"),
        (npy(header((10**30,))), "mu has the shape"),
        (npy(header((-1,))), "no shape that an array can have"),
        (npy(header((1,) * 40), bytes(8)), "no shape that an array can have"),
        (npy(header((4,)), bytes(24)), "another length than its shape"),
        (npy(header((4,)), bytes(40)), "another length than its shape"),
        (npy(header((1,), "|O"), b"cos\nsystem\n(S'true'\ntR."), "of type object"),
        (npy(header((1,), "<c16"), bytes(16)), "of type complex128"),
        (npy(header((1,), "<U1"), bytes(4)), "of type text"),
        (npy(header((1,), "|b1"), bytes(1)), "of type bool"),
        (npy(header((1,), "<M8[s]"), bytes(8)), "of type datetime64"),
        (npy(header((1,)).replace("'<f8'", "[('a', '<f8')]"), bytes(8)), "of type structure"),
        (npy(header((1,)), bytes(8), version=(3, 0)), "of type structure"),
        (npy(header((1,)), bytes(8), version=(9, 0)), "of type structure"),
        (npy("x" * 20_000, version=(2, 0)), "a header of more than 10,000 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "a header of more than"),
        (npy("{" * 5000), "damaged"),
        (npy("__import__('os')"), "damaged"),
        (npy("{}"), "damaged"),
        (b"", "damaged"),
        (b"no array", "damaged"),
    ],
)
def test_an_array_that_is_none_is_one_line(tmp_path, content, message):
    path = write(tmp_path / "a.npz", {"mu.npy": content, "sigma.npy": content})
    for load in (read_npz, load_fid_statistics):
        with pytest.raises(ValueError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
        assert len(str(caught.value)) < len(str(path)) + 300


def test_a_small_file_that_would_fill_the_memory_is_refused_before(tmp_path):
    """In a process that may have 1.5 GB, of which the import takes its share."""
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("mu.npy", "sigma.npy"):
            with archive.open(name, "w") as member:
                member.write(npy(header((300 << 17,))))
                for _ in range(300):
                    member.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))\n"
        "from rethink_fr.metrics.checks import load_arrays\n"
        "load_arrays(sys.argv[1], ['mu', 'sigma'], 'expected statistics')"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(bomb)], capture_output=True, text=True, timeout=30, env=environment
    )
    assert "mu has the shape [39321600]: more than 268,435,456 bytes in all" in done.stderr.splitlines()[-1]


def test_arrays_count_together(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"a{number}": np.zeros(100) for number in range(5)})
    assert len(read_npz(tmp_path / "a.npz", limit=5 * 800)) == 5
    with pytest.raises(UnreadableFile, match="a4 has the shape"):
        read_npz(tmp_path / "a.npz", limit=5 * 800 - 1)


def truncated(path):
    np.savez(path, mu=np.zeros(36), sigma=np.eye(36))
    os.truncate(path, path.stat().st_size // 2)


def flipped(path):
    np.savez(path, mu=np.zeros(36), sigma=np.eye(36))
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<d", 1.0)) + 6] ^= 1
    path.write_bytes(data)


def pickled(path):
    np.savez(path, mu=np.array([{}], object), sigma=np.eye(36))


def missing(path):
    np.savez(path, mu=np.zeros(3))


def plain(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def bzip2(path):
    content = io.BytesIO()
    np.save(content, np.zeros(36))
    write(path, {"mu.npy": content.getvalue(), "sigma.npy": content.getvalue()}, zipfile.ZIP_BZIP2)


def encrypted(path):
    np.savez(path, mu=np.zeros(36), sigma=np.eye(36))
    data = bytearray(path.read_bytes())
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = data.find(start)
        while found >= 0:
            data[found + place] |= 1
            found = data.find(start, found + 1)
    path.write_bytes(data)


def doubled(path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", npy(header((1,)), bytes(8)))
        archive.writestr("mu.npy", npy(header((1,)), bytes(8)))


def sparse(path):
    path.touch()
    os.truncate(path, 200 << 30)


@pytest.mark.parametrize(
    "make",
    [truncated, flipped, pickled, missing, plain, bzip2, encrypted, doubled, sparse, os.mkfifo],
    ids=lambda make: make.__name__,
)
def test_a_file_that_is_none_is_one_line(tmp_path, make):
    path = tmp_path / "statistics.npz"
    make(path)
    for load in (load_fid_statistics, load_niqe_statistics):
        with pytest.raises(ValueError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (np.full(36, np.nan), np.eye(36), "not finite"),
        (np.zeros(36), np.full([36, 36], np.inf), "not finite"),
        (np.zeros(36), np.triu(np.ones([36, 36])), "cov_pris_param: is not symmetric"),
        (np.zeros(36), -np.eye(36), "cov_pris_param: has the eigenvalue -1"),
        (np.zeros(36), np.zeros(36), "expected 36 and 36 x 36"),
    ],
)
def test_statistics_of_no_pictures_are_refused(tmp_path, mean, covariance, message):
    np.savez(tmp_path / "niqe.npz", mu_pris_param=mean, cov_pris_param=covariance)
    with pytest.raises(ValueError, match=rf"niqe\.npz: .*{message}"):
        load_niqe_statistics(tmp_path / "niqe.npz")
