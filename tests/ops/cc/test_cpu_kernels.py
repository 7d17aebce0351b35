"""The CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer, on the golden cases and on random ones."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from rethink_fr.ops.native import native_library
from rethink_fr.ops.native.compiler import find_compiler
from tests.ops.test_deform_conv import CASES

SOURCES = Path(__file__).parent


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The standalone program, compiled with the sanitizers and with warnings as errors."""
    path = tmp_path_factory.mktemp("kernels") / "cpu_kernels_test"
    # -g1: a sanitizer's message names functions and lines, and the compiler needs a third less time than with -g.
    options = "-std=c++17 -O1 -g1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all".split()
    includes = [f"-I{native_library().sources}", f"-I{SOURCES}"]
    command = [*find_compiler().command, *options, *includes, str(SOURCES / "cpu_kernels_test.cc"), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return str(path)


def test_random_shapes_and_offsets_are_clean_and_right(program):
    done = subprocess.run([program, "150"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "all right" in done.stdout


def test_the_golden_cases_are_clean_and_right(program, shared, tmp_path):
    golden = np.load(shared / "golden/vqfr/golden_dcn.npz")
    files = []
    for case in CASES:
        files.append(str(tmp_path / case))
        write_case({name: golden[f"{case}/{name}"] for name in NAMES}, golden[f"{case}/params"], files[-1])
    done = subprocess.run([program, "0", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{len(CASES)} files" in done.stdout


NAMES = "x offset mask weight cotangent bias out grad_x grad_offset grad_mask grad_weight".split()


def write_case(case, params, path):
    """A case file as cpu_kernels_test.cc reads it: with channels last, and without the bias."""

    def last(name):
        return np.moveaxis(case[name], 1, 3)

    def filters(name):
        return np.transpose(case[name], [2, 3, 1, 0])

    stride, padding, dilation, groups, deformable_groups = (int(value) for value in params)
    batch, height, width, channels = last("x").shape
    out_height, out_width, count = last("out").shape[1:]
    shape = [batch, height, width, channels, out_height, out_width, count, *filters("weight").shape[:2]]
    shape += [stride, stride, padding, padding, dilation, dilation, groups, deformable_groups]
    arrays = [last("x"), last("offset"), last("mask"), filters("weight"), last("cotangent")]
    arrays += [
        last("out") - case["bias"],
        last("grad_x"),
        last("grad_offset"),
        last("grad_mask"),
        filters("grad_weight"),
    ]
    with open(path, "wb") as file:
        file.write(np.array(shape, "int32").tobytes())
        for array in arrays:
            file.write(np.ascontiguousarray(array, "float32").tobytes())
