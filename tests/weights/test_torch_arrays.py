"""NumPy arrays in PyTorch's files, read without PyTorch."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from rethink_fr.evaluation.fid_statistics import read_fid_statistics
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.weights import torch_arrays
from rethink_fr.weights.torch_arrays import read_torch_arrays

MAGIC = 0x1950A86A20F9469CFC6C


def statistics():
    """As metric_paper/inception_stat.py of VQFR's repository makes them."""
    features = np.random.default_rng(0).normal(size=[50, 8]).astype(np.float32)
    return {"name": "FFHQ", "size": 512, "mean": np.mean(features, 0), "cov": np.cov(features, rowvar=False)}


def as_torch(content, old=False):
    """The bytes that `torch.save` of 2.13 and of 1.5 writes of values without tensors; compared with the real ones."""
    pickled = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
    if old:
        head = [pickle.dumps(one, protocol=2) for one in (MAGIC, 1001, {"little_endian": True})]
        return b"".join([*head, pickled, pickle.dumps([], protocol=2)])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("statistics/data.pkl", pickled)
        archive.writestr("statistics/version", "3\n")
    return file.getvalue()


@pytest.mark.parametrize("old", [False, True])
def test_published_statistics(tmp_path, old):
    (tmp_path / "ffhq.pth").write_bytes(as_torch(statistics(), old))
    mean, covariance = read_fid_statistics(tmp_path / "ffhq.pth")
    assert mean.dtype == covariance.dtype == np.float64
    np.testing.assert_array_equal(mean, statistics()["mean"])
    np.testing.assert_array_equal(covariance, statistics()["cov"])


@pytest.mark.parametrize("old", [False, True])
def test_what_pytorch_itself_wrote(tmp_path, old):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    torch.save(statistics(), tmp_path / "ffhq.pth", _use_new_zipfile_serialization=not old)
    found = read_torch_arrays(tmp_path / "ffhq.pth", ("mean", "cov"))
    assert found["mean"].dtype == np.float32
    for name, array in found.items():
        np.testing.assert_array_equal(array, statistics()[name])


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T, np.arange(4, dtype=">i2"), np.float32([[7]])])
def test_orders_and_types(tmp_path, array):
    (tmp_path / "a.pth").write_bytes(as_torch({"mean": array}))
    found = read_torch_arrays(tmp_path / "a.pth", ["mean"])["mean"]
    np.testing.assert_array_equal(found, array)
    assert found.shape == array.shape


class Runs:
    def __reduce__(self):
        return print, ("this was run",)


def forged(**changes):
    """A pickle of an array whose state says something else."""
    parts = {"version": 1, "shape": (2,), "dtype": np.dtype("f8"), "fortran": False, "data": b"\0" * 16, **changes}
    reconstruct, given, _ = np.zeros(2).__reduce__()[:3]

    class Array:
        def __reduce__(self):
            return reconstruct, given, tuple(parts.values())

    return pickle.dumps({"mean": Array()}, protocol=2)


@pytest.mark.parametrize(
    "data, message",
    [
        (as_torch({"mean": Runs()}), "print in it, which no array needs"),
        (as_torch({"mean": Runs()}, old=True), "print in it, which no array needs"),
        (as_torch({"cov": np.zeros(2)}), "mean is not there"),
        (as_torch([1]), "a list in it"),
        (as_torch({"mean": np.array(["text"])}), "mean is not of real numbers"),
        (as_torch({"mean": np.array([None])}), "not of real numbers|without plain bytes"),
        (as_torch({"mean": np.zeros(2, [("a", "f8")])}), "structures"),
        (as_torch(forged(shape=(1 << 40,))), "mean has another length than its shape"),
        (as_torch(forged(shape=(-2,))), "an array of no shape"),
        (as_torch(forged(shape=5)), "an array of no shape"),
        (as_torch(forged(dtype="f8")), "mean is not of real numbers"),
        (as_torch(forged(data=7)), "without plain bytes"),
        (as_torch(b"."), "damaged"),
        (b"PK\x03\x04", "refused"),
        (b"", "refused"),
        (pickle.dumps({"mean": np.zeros(2)}, protocol=2), "no file of PyTorch"),
    ],
)
def test_what_is_no_array_is_refused_in_one_line(tmp_path, capsys, data, message):
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(UnreadableFile, match=message) as error:
        read_torch_arrays(tmp_path / "a.pth", ["mean"])
    assert str(error.value).startswith(f"{tmp_path / 'a.pth'}: refused") and "\n" not in str(error.value)
    assert "this was run" not in capsys.readouterr().out


def test_what_is_no_covariance_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(as_torch({"mean": np.zeros(2), "cov": -np.eye(2)}))
    with pytest.raises(ValueError, match=r"a.pth: cov: has the eigenvalue -1"):
        read_fid_statistics(tmp_path / "a.pth")
    monkeypatch.setattr(torch_arrays, "_LIMIT", 10)
    with pytest.raises(ValueError, match="expected at most 10"):
        read_fid_statistics(tmp_path / "a.pth")
