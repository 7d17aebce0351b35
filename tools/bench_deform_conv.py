"""Deformable convolution and group_norm_swish against TensorFlow's plain convolution and a copy, as ratios.

    python tools/bench_deform_conv.py [--reference] [--only forward|backward|group_norm]

Each shape is a 3x3 convolution from C to C channels with four deformable groups and offsets of about two pixels, for
one image. Times are medians of calls that alternate with the plain convolution's, so that both see the same machine.
`avx2` and `baseline` are times over that of the best instruction set. torchvision's operator stands beside them where
torch and torchvision are installed. "copy" is a multiplication by a scalar: the tensor read once and written once.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import numpy as np
import tensorflow as tf
from _benchmark import arguments_of, median_seconds

from rethink_fr.ops import deform_conv2d, group_norm_swish
from rethink_fr.ops.native import instruction_set, use_instruction_set

_SHAPES = ((64, 64, 256), (128, 128, 256), (256, 256, 128), (512, 512, 128), (512, 512, 64))
_BACKWARD_SHAPES = _SHAPES[:2]
_GROUP_NORM_SHAPES = ((128, 128, 256), (512, 512, 128))
_DEFORMABLE_GROUPS = 4


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--reference", action="store_true", help="time the composition of TensorFlow operations too")
    parser.add_argument("--only", choices=("forward", "backward", "group_norm"), help="one part of the table")
    arguments = parser.parse_args()
    best = instruction_set()
    print(f"instruction set {best}")
    if arguments.only in (None, "forward"):
        print(
            "forward            plain conv ms  compiled/plain  avx2/best  baseline/best  "
            "reference/plain  torchvision/plain"
        )
        for shape in _SHAPES:
            print(forward_row(shape, best, arguments.repeats, arguments.reference))
    if arguments.only in (None, "backward"):
        print("forward + backward plain conv ms  compiled/plain")
        for shape in _BACKWARD_SHAPES:
            print(backward_row(shape, arguments.repeats))
    if arguments.only in (None, "group_norm"):
        print("group_norm_swish   copy ms        compiled/copy  gradient/copy  reference/copy")
        for shape in _GROUP_NORM_SHAPES:
            print(group_norm_row(shape, arguments.repeats))


def forward_row(shape: tuple, best: str, repeats: int, reference: bool) -> str:
    """One line of the table of forward times."""
    inputs, offsets, mask, filters = tensors(shape)
    functions = {
        "plain": tf.function(lambda: tf.reduce_sum(plain(inputs, filters)[0, 0, 0])),
        "compiled": tf.function(lambda: tf.reduce_sum(deformable(inputs, offsets, mask, filters, "compiled")[0, 0, 0])),
    }
    if reference:
        functions["reference"] = tf.function(
            lambda: tf.reduce_sum(deformable(inputs, offsets, mask, filters, "reference")[0, 0, 0])
        )
    torchvision = torchvision_call(inputs, offsets, mask, filters)
    if torchvision:
        functions["torchvision"] = torchvision
    seconds = median_seconds(functions, repeats)
    slower = {}
    for name in ("avx2", "baseline"):
        if use_instruction_set(name):
            one, other = functions["compiled"], seconds["compiled"]
            slower[name] = median_seconds({"it": one}, 3)["it"] / other
    use_instruction_set(best)
    ratio = {name: f"{value / seconds['plain']:.2f}" for name, value in seconds.items()}
    return (
        f"{'x'.join(map(str, shape)):18} {1e3 * seconds['plain']:13.1f}  {ratio['compiled']:>14}  "
        f"{slower.get('avx2', float('nan')):9.2f}  {slower.get('baseline', float('nan')):13.2f}  "
        f"{ratio.get('reference', '-'):>15}  {ratio.get('torchvision', '-'):>17}"
    )


def backward_row(shape: tuple, repeats: int) -> str:
    """One line of the table of forward and backward times."""
    inputs, offsets, mask, filters = tensors(shape)

    def step(function: Callable[..., tf.Tensor], *sources: tf.Tensor) -> Callable[[], tf.Tensor]:
        @tf.function
        def run() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(sources)
                outputs = function(*sources)
            return tf.add_n([tf.reduce_sum(g[0, 0, 0]) for g in tape.gradient(outputs, sources, outputs)])

        return run

    seconds = median_seconds(
        {
            "plain": step(plain, inputs, filters),
            "compiled": step(lambda *t: deformable(*t, "compiled"), inputs, offsets, mask, filters),
        },
        repeats,
    )
    return (
        f"{'x'.join(map(str, shape)):18} {1e3 * seconds['plain']:13.1f}  {seconds['compiled'] / seconds['plain']:14.2f}"
    )


def group_norm_row(shape: tuple, repeats: int) -> str:
    """One line of the table of group normalization with swish."""
    inputs = tf.random.stateless_normal([1, *shape], [1, 0])
    gamma, beta = (tf.random.stateless_normal(shape[-1:], [2, i]) for i in range(2))

    def gradient(implementation: str) -> tf.Tensor:
        sources = [inputs, gamma, beta]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = group_norm_swish(*sources, implementation=implementation)
        return tf.add_n([tf.reduce_sum(tf.reshape(g, [-1])[:4]) for g in tape.gradient(outputs, sources, outputs)])

    seconds = median_seconds(
        {
            "copy": tf.function(lambda: tf.reduce_sum((inputs * gamma[0])[0, 0, 0])),
            "compiled": tf.function(
                lambda: tf.reduce_sum(group_norm_swish(inputs, gamma, beta, implementation="compiled")[0, 0, 0])
            ),
            "gradient": tf.function(lambda: gradient("compiled")),
            "reference": tf.function(
                lambda: tf.reduce_sum(group_norm_swish(inputs, gamma, beta, implementation="reference")[0, 0, 0])
            ),
        },
        repeats,
    )
    return f"{'x'.join(map(str, shape)):18} {1e3 * seconds['copy']:7.1f}        " + "".join(
        f"{seconds[name] / seconds['copy']:13.2f}  " for name in ("compiled", "gradient", "reference")
    )


def tensors(shape: tuple) -> List[tf.Tensor]:
    """Inputs, offsets, mask and filters for a shape (rows, columns, channels)."""
    rows, columns, channels = shape
    entries = _DEFORMABLE_GROUPS * 9
    return [
        tf.random.stateless_normal([1, rows, columns, channels], [0, 0]),
        tf.random.stateless_normal([1, rows, columns, 2 * entries], [0, 1], stddev=2.0),
        tf.random.stateless_uniform([1, rows, columns, entries], [0, 2]),
        tf.random.stateless_normal([3, 3, channels, channels], [0, 3], stddev=0.02),
    ]


def plain(inputs: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """The ordinary 3x3 convolution."""
    return tf.nn.conv2d(inputs, filters, 1, "SAME")


def deformable(inputs, offsets, mask, filters, implementation) -> tf.Tensor:
    """The deformable one."""
    return deform_conv2d(
        inputs, offsets, mask, filters, deformable_groups=_DEFORMABLE_GROUPS, implementation=implementation
    )


def torchvision_call(*arguments: tf.Tensor) -> Optional[Callable[[], Any]]:
    """The same by torchvision, or None where it is not installed."""
    try:
        import torch
        from torchvision.ops import deform_conv2d as operator
    except ImportError:
        return None
    inputs, offsets, mask = (torch.from_numpy(np.moveaxis(t.numpy(), 3, 1).copy()) for t in arguments[:3])
    filters = torch.from_numpy(np.transpose(arguments[3].numpy(), [3, 2, 0, 1]).copy())
    return lambda: operator(inputs, offsets, filters, padding=1, mask=mask)


if __name__ == "__main__":
    main()
