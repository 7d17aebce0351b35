"""Compares the GPU's operators, which run in the emulation, with the reference. test_cuda.py runs this.

    check_emulated_ops.py LIBRARY [DRIVER]

This needs a process of its own, because the operators have the names of those in the real library.
"""

import ctypes
import sys

import numpy as np
import tensorflow as tf

from rethink_fr.ops import deform_conv, group_norm


def deviation(found, expected):
    """The largest difference, in units of the largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return np.max(np.abs(found - expected), initial=0) / max(np.max(np.abs(expected), initial=0), 1e-30)


def check_deform_conv(ops, batch, groups, deformable_groups):
    """Compare outputs and all gradients for one shape, with strides, padding and dilations."""
    geometry = {"strides": (1, 2), "padding": (2, 1), "dilations": (2, 1), "deformable_groups": deformable_groups}
    inputs = tf.random.normal([batch, 7, 9, 12])
    offsets = 2 * tf.random.normal([batch, 7, 5, deformable_groups * 18])
    mask = tf.random.uniform([batch, 7, 5, deformable_groups * 9])
    filters = tf.random.normal([3, 3, 12 // groups, 8])
    sources = [inputs, offsets, mask, filters]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        expected = deform_conv.deform_conv2d(*sources, **geometry, implementation="reference")
    upstream = tf.random.normal(expected.shape)
    gradients = tape.gradient(expected, sources, upstream) if batch else [tf.zeros_like(source) for source in sources]
    found = ops.rethink_fr_deform_conv2d(*sources, **geometry)
    of_sources = ops.rethink_fr_deform_conv2d_grad(*sources, upstream, **geometry)
    for one, other in zip([found, *of_sources], [expected, *gradients]):
        assert deviation(one, other) < 5e-6, deviation(one, other)


def check_group_norm(ops, batch, channels, groups):
    """Compare outputs and all gradients for one shape."""
    inputs = 3 + tf.random.normal([batch, 9, 7, channels])
    gamma, beta = 1 + 0.2 * tf.random.normal([channels]), tf.random.normal([channels])
    sources = [inputs, gamma, beta]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        expected = group_norm.group_norm_swish(*sources, groups=groups, implementation="reference")
    upstream = tf.random.normal(inputs.shape)
    gradients = tape.gradient(expected, sources, upstream)
    found, *statistics = ops.rethink_fr_group_norm_swish(*sources, groups=groups, epsilon=1e-6)
    of_sources = ops.rethink_fr_group_norm_swish_grad(*sources, *statistics, upstream, groups=groups)
    for one, other in zip([found, *of_sources], [expected, *gradients]):
        assert deviation(one, other) < 5e-6, deviation(one, other)


def main() -> None:
    """Exits 0 if everything agrees."""
    for driver in sys.argv[2:]:
        ctypes.CDLL(driver)
    ops = tf.load_op_library(sys.argv[1])
    for arguments in ((2, 1, 1), (2, 1, 4), (1, 2, 3), (3, 4, 2), (0, 1, 1)):
        check_deform_conv(ops, *arguments)
    for arguments in ((2, 12, 3), (1, 64, 32), (0, 8, 4)):
        check_group_norm(ops, *arguments)
    try:
        ops.rethink_fr_group_norm_swish(tf.zeros([1, 2, 2, 6]), tf.zeros([6]), tf.zeros([6]), groups=4, epsilon=1e-6)
    except tf.errors.InvalidArgumentError as error:
        assert "do not fit" in str(error)
    else:
        raise AssertionError("4 groups of 6 channels were taken")
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(1)
    try:
        check_deform_conv(ops, 1, 1, 1)
    except tf.errors.UnimplementedError as error:
        assert "atomics" in str(error)
    else:
        raise AssertionError("determinism was promised")


if __name__ == "__main__":
    main()
