"""PyTorch's files that are damaged, hostile or of another kind: one line each, and no memory for what is announced."""

import collections
import io
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from rethink_fr.weights.torch_files import TorchFileError, read_torch_file, read_weights
from tests.command_line import PEAK_MEMORY, ROOT

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")


def saved(path, state, **options):
    torch.save(state, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_plain_tensors_of_any_real_type_and_layout_are_read(tmp_path, zipped):
    values = torch.arange(12.0).reshape(3, 4)
    state = collections.OrderedDict(
        a=values,
        b=values.t(),
        c=values[:, ::2],
        d=values.to(torch.bfloat16),
        e=values.double(),
        f=torch.tensor(5),
        g=torch.nn.Parameter(values),
        h=torch.zeros(0, 3),
    )
    path = saved(tmp_path / "a.pth", {"params": state}, _use_new_zipfile_serialization=zipped)
    read = read_torch_file(path, ["params"])
    assert all(array.dtype == np.float32 for array in read.values()) and list(read) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(read[name], tensor.detach().float().numpy())


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


def compressed_sparse():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.eye(3).to_sparse_csr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.eye(3).to_sparse(), "'w' is of the layout sparse_coo"),
        (compressed_sparse, "'w' is of the layout sparse_csr"),
        (lambda: torch.sparse_coo_tensor(torch.zeros(1, 0), torch.zeros(0), [10**12]), "sparse_coo"),
        (quantized, "'w' is quantized|refused"),
        (lambda: torch.empty(10**6, 10**6, device="meta"), "'w' is without values"),
        (lambda: torch.zeros(3, dtype=torch.complex64), "'w' is complex"),
        (lambda: torch.zeros(1).expand(10**6, 10**6), "'w' is said to have 1,000,000,000,000 values, which is more"),
        (lambda: torch.zeros(4).as_strided([3, 3], [1, 0]), "'w' is said to have 9 values"),
        (lambda: torch.zeros([1] * 70), "'w' cannot be read"),
        (lambda: torch.full([2], float("inf")), "w holds values that are not finite"),
        (lambda: torch.full([2], 1e300, dtype=torch.float64), "w holds values that are not finite"),
        (lambda: {"inner": torch.zeros(3)}, "the entry 'w' is not a tensor by name"),
        (lambda: [torch.zeros(3)], "the entry 'w' is not a tensor by name"),
        (lambda: "x" * 1000, "the entry 'w' is not a tensor by name"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("ignore")
def test_other_tensors_are_named_in_one_line(tmp_path, make, message, zipped, capfd):
    path = saved(tmp_path / "a.pth", {"params": {"w": make()}}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(TorchFileError, match=message) as caught:
        read_torch_file(path, ["params"])
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_many_names_of_one_array_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rethink_fr.weights.torch_files._MAX_VALUES", 1000)
    shared = torch.zeros(400)
    path = saved(tmp_path / "a.pth", {"params": {str(number): shared for number in range(3)}})
    with pytest.raises(TorchFileError, match="holds more than 1,000 values"):
        read_torch_file(path, ["params"])


def test_names_are_printed_on_one_line(tmp_path):
    for name, message in (
        (("a",) * 9, "the entry a tuple is"),
        ("a\nb" * 100, r"the entry 'a\\nba\\nb"),
        (7, "entry 7"),
    ):
        path = saved(tmp_path / "a.pth", {"params": {name: 1}})
        with pytest.raises(TorchFileError, match=message) as caught:
            read_torch_file(path, ["params"])
        assert len(str(caught.value)) < len(str(path)) + 250


def bomb(path):
    """An archive of 1 MB whose one array has 1 GB, compressed."""
    content = io.BytesIO()
    torch.save({"params": {"w": torch.zeros(1 << 20)}}, content)
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = old.read(info)
            with new.open(info.filename, "w") as member:
                for _ in range(256 if info.filename.endswith("data/0") else 1):
                    member.write(data)


def truncated(path):
    torch.save({"params": {"w": torch.zeros(1000)}}, path)
    os.truncate(path, path.stat().st_size // 2)


def truncated_legacy(path):
    torch.save({"params": {"w": torch.zeros(1000)}}, path, _use_new_zipfile_serialization=False)
    os.truncate(path, path.stat().st_size // 2)


def huge_legacy(path):
    """Announces an array of 4 TB, as PyTorch's older files do."""
    content = io.BytesIO()
    torch.save({"params": {"w": torch.zeros(77777)}}, content, _use_new_zipfile_serialization=False)
    number = b"J" + (77777).to_bytes(4, "little")
    assert content.getvalue().count(number) >= 2
    path.write_bytes(content.getvalue().replace(number, b"\x8a\x06" + (10**12).to_bytes(6, "little")))


def endless(path):
    """A dictionary whose key is a tuple of two tuples of two tuples and so on, 60 times: nobody computes its hash."""
    content = io.BytesIO()
    torch.save({"params": {"w": torch.zeros(3)}}, content)
    hostile = b"\x80\x02}()q\x01" + 60 * b"h\x01h\x01\x86q\x01" + b"K\x01u."
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, hostile if info.filename.endswith("data.pkl") else old.read(info))


def nested(path):
    path.write_bytes(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


def sparse_file(path):
    path.touch()
    os.truncate(path, 200 << 30)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bomb, "it announces more than it holds"),
        (truncated, "refused"),
        (truncated_legacy, "refused"),
        (huge_legacy, "refused"),
        (nested, "refused"),
        (endless, "it would become more values than a published network has"),
        (lambda path: path.write_bytes(pickle.dumps(collections.OrderedDict(a=print))), "refused"),
        (sparse_file, "has 214,748,364,800 bytes, expected at most"),
        (os.mkfifo, "is a named pipe, expected a regular file"),
    ],
)
def test_other_files_are_one_line_and_take_no_memory(tmp_path, make, message):
    path = tmp_path / "bad.pth"
    make(path)
    code = (
        f"{PEAK_MEMORY}import sys, torch; from pathlib import Path\n"
        "from rethink_fr.weights.torch_files import TorchFileError, read_torch_file\n"
        "before = peak()\n"
        "try: read_torch_file(Path(sys.argv[1]), ['params'])\n"
        "except TorchFileError as error: print(error)\n"
        "assert peak() - before < 300_000\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert message in done.stdout and done.stdout.startswith(f"{path}: ")


def test_arrays_without_pytorch_are_read_within_the_same_limits(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.zeros(3, np.float32), o=np.array([{}], object))
    with pytest.raises(TorchFileError, match=r"a\.npz: not an \.npz of arrays \(o is of type object"):
        read_weights(tmp_path / "a.npz")
