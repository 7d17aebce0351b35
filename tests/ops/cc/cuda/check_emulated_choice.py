"""Lets "auto" choose between the GPU's operators, run in the emulation, and the reference. test_cuda.py runs this.

    check_emulated_choice.py LIBRARY DRIVER

It prints whether the native operators were chosen, and the warnings.
"""

import ctypes
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from rethink_fr.ops import deform_conv2d, group_norm_swish, implementation
from rethink_fr.ops.native import LoadedLibrary, process

ctypes.CDLL(sys.argv[2])
loaded = LoadedLibrary(tf.load_op_library(sys.argv[1]), Path(sys.argv[1]), "emulated", None)
process._library = SimpleNamespace(load=lambda: loaded)
implementation.gpus = lambda: ["CPU:0"]

sources = [tf.random.normal(shape) for shape in ([1, 5, 6, 4], [1, 5, 6, 18], [1, 5, 6, 9], [3, 3, 4, 2])]


@tf.function
def step(choice):
    """The first use is in a graph, as in training."""
    convolved = deform_conv2d(*sources, implementation=choice)
    return convolved, group_norm_swish(sources[0], tf.ones(4), tf.zeros(4), groups=2, implementation=choice)


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = step("auto")
    step("auto"), implementation.try_on_gpus()
for one, expected in zip(found, step("reference")):
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)
nodes = step.get_concrete_function("auto").graph.get_operations()
print("native:", sorted({node.type for node in nodes if node.type.startswith("RethinkFr")}))
print("warnings:", len([w for w in caught if issubclass(w.category, RuntimeWarning)]))
print("\n".join(str(warning.message) for warning in caught))
