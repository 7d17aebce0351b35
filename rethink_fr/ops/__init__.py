"""Operations that TensorFlow lacks. Each has a native kernel, and a reference made of TensorFlow's own operations.

`deform_conv`, `deform_conv_reference` and `group_norm` are the operations, `implementation` the choice between native
kernel and reference, `native/` the library that holds the kernels, `cc/` its C++ and CUDA sources, and `trial` compares
the kernels with the references on this machine.
"""

from rethink_fr.ops.deform_conv import deform_conv2d
from rethink_fr.ops.group_norm import group_norm_swish
from rethink_fr.ops.native import NativeOpsError

__all__ = ["NativeOpsError", "deform_conv2d", "group_norm_swish"]
