"""`rethink-fr build-ops`, and what `rethink-fr info` says of native operators; on small sources, not the real ones."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from rethink_fr.cli import main
from rethink_fr.commands.info import describe
from rethink_fr.doctor import machine
from rethink_fr.ops import group_norm_swish, implementation
from rethink_fr.ops.native import LoadedLibrary, NativeLibrary, process
from tests.ops.stand_in import write_stand_in


@pytest.fixture()
def library(tmp_path, monkeypatch) -> NativeLibrary:
    """The library of this process, not built yet."""
    made = NativeLibrary(write_stand_in(tmp_path / "cc").sources, tmp_path, tmp_path / "cache")
    monkeypatch.setattr(process, "_library", made)
    monkeypatch.delenv("RETHINK_FR_OPS", raising=False)
    return made


def use_module(monkeypatch, factor: float) -> None:
    """A library whose one operator gives the right values times `factor`, and its gradient."""

    def reference(*tensors, groups, epsilon=1e-6):
        return group_norm_swish(*tensors, groups=groups, epsilon=epsilon, implementation="reference")

    def operator(inputs, gamma, beta, groups, epsilon):
        return factor * reference(inputs, gamma, beta, groups=groups, epsilon=epsilon), None, None

    def gradient(inputs, gamma, beta, mean, deviation, upstream, groups):
        with tf.GradientTape() as tape:
            tape.watch([inputs, gamma, beta])
            outputs = reference(inputs, gamma, beta, groups=groups)
        return tape.gradient(outputs, [inputs, gamma, beta], upstream)

    module = SimpleNamespace(rethink_fr_group_norm_swish=operator, rethink_fr_group_norm_swish_grad=gradient)
    functions = SimpleNamespace(rethink_fr_instruction_set=lambda: b"avx2")
    loaded = LoadedLibrary(module, Path("some.so"), "made up", functions)
    answers = {"build": lambda force: loaded, "load": lambda: loaded, "look": lambda: loaded, "cache": Path("cache")}
    monkeypatch.setattr(process, "_library", SimpleNamespace(**answers))


def test_build_ops_builds_once_and_says_where(library, capsys):
    assert main(["build-ops"]) == 0
    captured = capsys.readouterr()
    (path,) = library.cache.glob("*.so")
    assert "building" in captured.err
    assert f"baseline kernels: built on this machine\n{path}, ready after" in captured.out
    assert main(["build-ops"]) == 0
    assert "building" not in capsys.readouterr().err


def test_build_ops_without_a_compiler_fails_with_one_line(library, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["build-ops"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("rethink-fr: error: no native operators; there is no C++ compiler")
    assert errors.count("\n") == 1


def test_build_ops_compares_each_operator_with_its_twin(monkeypatch, capsys):
    use_module(monkeypatch, 1.0)
    assert main(["build-ops"]) == 0
    output = capsys.readouterr().out
    assert "group_norm_swish, avx2 kernels: made up" in output
    assert "group_norm_swish: differs from TensorFlow's own operations by at most 0 of its" in output


@pytest.mark.parametrize("factor", [1.1, float("nan")])
def test_build_ops_refuses_an_operator_that_is_wrong(factor, monkeypatch, capsys):
    use_module(monkeypatch, factor)
    assert main(["build-ops"]) == 1
    assert "some.so: group_norm_swish is wrong on CPU:0, off by" in capsys.readouterr().err


def test_info_says_what_the_first_use_will_do_and_does_not_do_it(library):
    rows = dict(describe(None, []))
    assert rows["native operators"] == "not built yet; the first use builds them, or `rethink-fr build-ops` now"
    assert rows["deform_conv2d"] == "compiled, once built"
    assert rows["built libraries"] == str(library.cache) and not library.cache.exists()


def test_info_says_which_implementation_is_active(monkeypatch):
    use_module(monkeypatch, 1.0)
    rows = dict(describe(None, []))
    assert rows["native operators"] == "made up, avx2 kernels: some.so"
    assert rows["group_norm_swish"] == "compiled"
    assert rows["deform_conv2d"].startswith("reference")


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_info_and_doctor_say_what_trying_it_on_a_gpu_gave(monkeypatch, factor):
    """Here the processor stands for the GPU. Without one nothing is tried."""
    use_module(monkeypatch, factor)
    monkeypatch.setattr(implementation, "_faults", None)
    monkeypatch.setattr(implementation, "gpus", lambda: ["CPU:0"])
    monkeypatch.setattr(machine, "OPERATORS", ("group_norm_swish",))
    row, found = dict(describe(None, []))["group_norm_swish"], machine.check_operators()
    if factor == 1.0:
        assert row == "compiled, tried on CPU:0" and found.found == "compiled, avx2 kernels, tried on CPU:0"
    else:
        assert row.startswith("reference (TensorFlow's own operations): group_norm_swish is wrong on CPU:0")
        assert found.state == "warning" and "group_norm_swish is wrong on CPU:0" in found.found


def test_info_says_why_there_are_no_native_operators(library, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = dict(describe(None, []))
    assert rows["native operators"].startswith("none: there is no C++ compiler")
    assert rows["deform_conv2d"].startswith("reference")
    monkeypatch.setenv("RETHINK_FR_OPS", "reference")
    assert dict(describe(None, []))["native operators"] == "not used: RETHINK_FR_OPS=reference is set"
