"""Computes a function of many images in parts, one after the other, so that memory is needed for one part only."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

import tensorflow as tf

from rethink_fr.layers.flat_outputs import FlatOutputs


def in_parts(function: Callable[..., Any], parts: int, *rows: tf.Tensor) -> Any:
    """The value of `function(*rows)`, computed for equal parts of the rows, one part after the other.

    What a part computes is not kept for the gradient, but computed again when the gradient wants it: gradient
    checkpointing (Chen et al. 2016, arXiv:1604.06174), over parts of the batch instead of layers. So a function of a
    batch, its whole gradient included, fits in the memory of a part; the price is one more forward pass. All that
    couples images is computed from the results, of the whole batch. Differentiable once, in rows and variables.

    Args:
        function: of tensors to a structure of tensors, each image by itself: what it returns is either a row for each
            image, or a scalar that is a mean over the images. None stands for nothing. It may not assign variables,
            and must not communicate with other replicas, because it is called in a loop and again for the gradient.
        parts: number of parts, 1 or more. With 1 the function is just called.
        rows: tensors `[B, ...]` with static shapes but for B, and B a multiple of `parts`.

    Returns:
        What the function returns for all rows, equal but for rounding.
    """
    if parts == 1:
        return function(*rows)
    return _in_parts(function, parts, rows)


@tf.autograph.experimental.do_not_convert
def _in_parts(function: Callable[..., Any], parts: int, rows: Sequence[tf.Tensor]) -> Any:
    outputs_of = FlatOutputs(function)

    @tf.custom_gradient
    def compute(*whole: tf.Tensor) -> Tuple[List[tf.Tensor], Callable[..., Any]]:
        split = [_split(tensor, parts) for tensor in whole]

        def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> Tuple[List[Any], List[Any]]:
            return _gradient(outputs_of, split, upstream, list(variables))

        return _forward(outputs_of, split), gradient

    return outputs_of.pack(compute(*rows))


def _split(tensor: tf.Tensor, parts: int) -> tf.Tensor:
    """`[B, ...]` to `[parts, B / parts, ...]`."""
    count = tensor.shape[0]
    size = tf.shape(tensor)[0] // parts if count is None else count // parts
    return tf.reshape(tensor, [parts, size, *tensor.shape[1:]])


def _forward(outputs_of: FlatOutputs, split: List[tf.Tensor]) -> List[tf.Tensor]:
    parts = split[0].shape[0]
    # The first part tells which outputs there are.
    first = outputs_of(*(tensor[0] for tensor in split))
    found = [tf.TensorArray(output.dtype, parts, element_shape=output.shape).write(0, output) for output in first]

    def body(number: tf.Tensor, found: List[tf.TensorArray]) -> Tuple[tf.Tensor, List[tf.TensorArray]]:
        outputs = outputs_of(*(tensor[number] for tensor in split))
        return number + 1, [array.write(number, output) for array, output in zip(found, outputs)]

    _, found = tf.while_loop(lambda number, _: number < parts, body, [tf.constant(1), found], parallel_iterations=1)
    return [
        array.concat() if output.shape.rank else tf.reduce_mean(array.stack()) for array, output in zip(found, first)
    ]


def _gradient(
    outputs_of: FlatOutputs,
    split: List[tf.Tensor],
    upstream: Sequence[tf.Tensor],
    variables: List[tf.Variable],
) -> Tuple[List[Any], List[Any]]:
    """The gradients of the rows, None for whole numbers, and of the variables."""
    parts = split[0].shape[0]
    moved = [tensor for tensor in split if tensor.dtype.is_floating]
    sums = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
    found = [tf.TensorArray(tensor.dtype, parts, element_shape=tensor.shape[1:]) for tensor in moved]
    # A row has a gradient of its own, a mean gives each part an equal share.
    seeds = [None if one is None else _split(one, parts) if one.shape.rank else one / parts for one in upstream]

    def body(
        number: tf.Tensor, sums: List[tf.Tensor], found: List[tf.TensorArray]
    ) -> Tuple[tf.Tensor, List[tf.Tensor], List[tf.TensorArray]]:
        part = [tensor[number] for tensor in split]
        watched = [tensor for tensor in part if tensor.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*watched, *variables])
            outputs = outputs_of(*part)
        pairs = [
            (output, seed[number] if output.shape.rank else seed)
            for output, seed in zip(outputs, seeds)
            if output.dtype.is_floating and seed is not None
        ]
        gradients = tape.gradient(
            [output for output, _ in pairs],
            [*watched, *variables],
            output_gradients=[seed for _, seed in pairs],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        of_rows, of_variables = gradients[: len(watched)], gradients[len(watched) :]
        found = [array.write(number, gradient) for array, gradient in zip(found, of_rows)]
        return number + 1, [total + gradient for total, gradient in zip(sums, of_variables)], found

    _, sums, found = tf.while_loop(
        lambda number, *_: number < parts, body, [tf.constant(0), sums, found], parallel_iterations=1
    )
    by_row = iter([array.concat() for array in found])
    return [next(by_row) if tensor.dtype.is_floating else None for tensor in split], sums
