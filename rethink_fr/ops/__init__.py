"""Operations that TensorFlow does not have, each with a native kernel and a twin of TensorFlow's own operations."""

from rethink_fr.ops.deform_conv import deform_conv2d
from rethink_fr.ops.group_norm import group_norm_swish
from rethink_fr.ops.native import NativeOpsError

__all__ = ["NativeOpsError", "deform_conv2d", "group_norm_swish"]
