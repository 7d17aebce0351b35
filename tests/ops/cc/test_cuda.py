"""The CUDA kernels: compiled by three compilers, run in an emulation on the CPU, and on a GPU if there is one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests.command_line import ROOT
from tests.forked import ForkedPython

SOURCES = Path(__file__).resolve().parent / "cuda"
KERNELS = ROOT / "rethink_fr/ops/cc"
INCLUDES = [f"-I{KERNELS}", f"-I{SOURCES.parent}", f"-I{SOURCES}"]
EMBED = f"-Wa,-I{KERNELS}"  # where the assembler finds the text of the kernels
WARNINGS = ["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Werror"]
NO_GPU = 77

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def build(*command: str | Path) -> None:
    result = run(*command)
    assert result.returncode == 0, result.stdout


def build_emulation(target: Path, *flags: str) -> None:
    source = SOURCES / "kernels_test.cu"
    build("g++", "-std=c++17", "-O1", *WARNINGS, *INCLUDES, *flags, "-x", "c++", source, "-o", target)


def assert_all_right(result: subprocess.CompletedProcess) -> None:
    assert result.returncode == 0 and "WRONG" not in result.stdout, result.stdout
    assert "sliced filter gradient" in result.stdout and "norm far from zero" in result.stdout, result.stdout


@pytest.fixture(scope="module")
def emulation(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("emulation") / "kernels"
    build_emulation(program)
    return program


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_kernels_agree_with_loops_in_any_order_of_threads(emulation, order):
    assert_all_right(run(emulation, f"--{order}"))


@pytest.mark.slow
def test_kernels_stay_within_their_memory(tmp_path):
    program = tmp_path / "kernels"
    build_emulation(program, "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    assert_all_right(run(program, "--shuffled"))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc here")
def test_nvcc_compiles_the_kernels_and_a_gpu_runs_them(tmp_path):
    program = tmp_path / "kernels"
    warnings = ["-Xcompiler", "-Wall,-Wextra", "-Werror", "all-warnings"]
    options = ["-std=c++17", "-O2", "-arch=all-major", "--threads=2", *warnings, *INCLUDES]
    build("nvcc", *options, SOURCES / "kernels_test.cu", "-o", program)
    result = run(program)
    if result.returncode != NO_GPU:
        assert_all_right(result)


def test_nvrtc_compiles_the_text_that_the_library_carries(tmp_path):
    program = tmp_path / "compile"
    build("g++", "-std=c++17", "-O1", *WARNINGS, *INCLUDES, EMBED, SOURCES / "nvrtc_test.cc", "-ldl", "-o", program)
    environment = {}
    wheel = importlib.util.find_spec("nvidia")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        library = Path(folder) / "cuda_nvrtc/lib/libnvrtc.so.12"
        if library.exists():
            environment["RETHINK_FR_NVRTC"] = str(library)
    result = run(program, "80", "90", **environment)
    if result.returncode == NO_GPU:
        pytest.skip(result.stdout)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def emulated(tmp_path_factory) -> Path:
    """A folder with the GPU's operators, registered for the CPU, and with a driver and an NVRTC for them."""
    folder = tmp_path_factory.mktemp("emulated")
    shared = ["g++", "-shared", "-fPIC", "-O1", "-std=c++17", *WARNINGS, *INCLUDES]
    # With that name inside, a driver that is loaded already is the one that the operators find.
    build(*shared, SOURCES / "emulated_driver.cc", "-Wl,-soname,libcuda.so.1", "-o", folder / "libcuda.so.1")
    tensorflow = [flag.replace("-I", "-isystem", 1) for flag in tf.sysconfig.get_compile_flags()]
    libraries = tf.sysconfig.get_link_flags()
    build(*shared, EMBED, *tensorflow, SOURCES / "emulated_ops.cc", *libraries, "-o", folder / "emulated_ops.so")
    return folder


def run_emulated_ops(
    folder: Path, script: str = "check_emulated_ops.py", **environment: str
) -> subprocess.CompletedProcess:
    """Run a script with the emulated driver."""
    driver = folder / "libcuda.so.1"
    variables = {**os.environ, "RETHINK_FR_NVRTC": str(driver), **environment}
    return ForkedPython(SOURCES / script, folder / "emulated_ops.so", driver, cwd=ROOT, environment=variables).wait()


def test_gpu_operators_agree_with_the_reference_on_an_emulated_driver(emulated):
    result = run_emulated_ops(emulated)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"EMULATED_FAILURE": "compile"}, "NVRTC could not compile the kernels: NVRTC_ERROR_EMULATED\nline 1: a fault"),
        ({"EMULATED_FAILURE": "load"}, "the driver did not take the compiled kernels: CUDA_ERROR_EMULATED"),
        ({"EMULATED_FAILURE": "launch"}, "rethink_fr_sample_columns_4 failed: CUDA_ERROR_EMULATED"),
    ],
)
def test_what_fails_on_a_gpu_is_an_error_with_its_reason(emulated, environment, message):
    result = run_emulated_ops(emulated, **environment)
    assert result.returncode == 1
    assert "deform_conv2d on the GPU: " + message in result.stderr, result.stderr


def test_a_gpu_on_which_they_work_uses_the_native_operators(emulated):
    result = run_emulated_ops(emulated, "check_emulated_choice.py")
    assert result.returncode == 0, result.stderr
    assert "native: ['RethinkFr>DeformConv2d', 'RethinkFr>GroupNormSwish']\nwarnings: 0" in result.stdout


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("compile", "does not run on CPU:0 (deform_conv2d on the GPU: NVRTC could not compile the kernels"),
        ("load", "does not run on CPU:0 (deform_conv2d on the GPU: the driver did not take the compiled kernels"),
        ("launch", "does not run on CPU:0 (deform_conv2d on the GPU: rethink_fr_sample_columns_4 failed"),
        ("values", "is wrong on CPU:0, off by"),
    ],
)
def test_a_gpu_on_which_they_fail_uses_tensorflows_operations_with_one_warning(emulated, step, message):
    result = run_emulated_ops(emulated, "check_emulated_choice.py", EMULATED_FAILURE=step)
    assert result.returncode == 0, result.stderr
    assert f"native: []\nwarnings: 1\nnative operators: deform_conv2d {message}" in result.stdout, result.stdout
    assert "; group_norm_swish " in result.stdout and "take their place, slower" in result.stdout


def test_without_a_driver_the_error_names_it(emulated, tmp_path):
    (tmp_path / "libcuda.so.1").write_text("no library")
    # A process of its own, because LD_LIBRARY_PATH counts only when one starts.
    script, paths = SOURCES / "check_emulated_ops.py", {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    result = run(sys.executable, script, emulated / "emulated_ops.so", **paths)
    assert result.returncode == 1
    assert "the NVIDIA driver's library was not found:\n  " in result.stdout, result.stdout
