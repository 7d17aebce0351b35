"""The library that a process uses, and what it does without one."""

import os
import warnings

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.ops import NativeOpsError, deform_conv2d
from rethink_fr.ops.native import instruction_set, native_library, native_ops, process, use_instruction_set
from tests.command_line import ROOT
from tests.forked import ForkedPython


def test_without_a_compiler_the_composition_takes_over_with_one_warning(process_library, no_compiler):
    generator = np.random.default_rng(0)
    shapes = [[1, 5, 5, 4], [1, 5, 5, 18], [1, 5, 5, 9], [3, 3, 4, 2]]
    tensors = [tf.constant(generator.normal(size=shape), tf.float32) for shape in shapes]
    with pytest.warns(RuntimeWarning) as caught:
        outputs = [deform_conv2d(*tensors, implementation=choice) for choice in ("auto", "auto", "reference")]
    np.testing.assert_array_equal(outputs[0], outputs[2])
    assert len(caught) == 1 and caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith("no native operators; there is no C++ compiler (g++, c++, clang++); install one")
    assert "`rethink-fr build-ops` builds them" in message and "slower" in message
    with pytest.raises(NativeOpsError, match=r"there is no C\+\+ compiler.*build-ops"):
        deform_conv2d(*tensors, implementation="compiled")


def test_a_relative_cache_is_one_warning(monkeypatch):
    monkeypatch.setattr(process, "_library", None)
    monkeypatch.setattr(process, "_warned", False)
    monkeypatch.setenv("RETHINK_FR_CACHE", "cache")
    monkeypatch.delenv("RETHINK_FR_OPS", raising=False)
    with pytest.warns(RuntimeWarning, match="RETHINK_FR_CACHE is 'cache', expected an absolute path"):
        assert native_ops() is None


def test_the_environment_may_forbid_native_operators(process_library, cache, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_OPS", "reference")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert native_ops() is None
    with pytest.raises(NativeOpsError, match="RETHINK_FR_OPS=reference forbids them; unset it"):
        native_ops(required=True)
    assert not cache.exists()
    monkeypatch.setenv("RETHINK_FR_OPS", "fast")
    with pytest.raises(ValueError, match="RETHINK_FR_OPS is 'fast', expected auto or reference"):
        native_ops()


def test_native_ops_gives_the_module(process_library, stand_in):
    module = native_ops(required=True)
    assert module is native_ops() is process_library.load().module
    assert hasattr(module, f"stand_in{stand_in.number}")


def test_tests_may_choose_an_instruction_set(process_library):
    assert instruction_set() == "baseline"
    assert not use_instruction_set("no such set") and instruction_set() == "baseline"
    assert use_instruction_set("avx2") and instruction_set() == "avx2"


def test_loading_while_a_graph_is_traced_is_silent(tmp_path):
    """AutoGraph must not try to convert the code that finds the library: it would warn, at length, that it cannot."""
    script = tmp_path / "script.py"  # AutoGraph converts only what it can read from a file
    script.write_text(
        "import tensorflow as tf\n"
        "from rethink_fr.ops import group_norm_swish\n"
        "@tf.function\n"
        "def step(x):\n"
        "    return group_norm_swish(x, tf.ones(4), tf.zeros(4), groups=2, implementation='compiled')\n"
        "print(step(tf.ones([1, 2, 2, 4])).shape)\n"
    )
    native_library().load()
    done = ForkedPython(script, cwd=ROOT, environment=os.environ).wait()
    assert done.returncode == 0 and "(1, 2, 2, 4)" in done.stdout, done.stderr
    assert "AutoGraph" not in done.stderr
