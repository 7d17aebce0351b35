"""Which implementation of its own operations a network uses while it is traced for an export."""

from __future__ import annotations

import contextlib
from typing import Iterator

from tensorflow import keras

from rethink_fr.layers.deformable import DeformableConv2D
from rethink_fr.ops.deform_conv import DeformConvImplementation
from rethink_fr.ops.implementation import Implementation


@contextlib.contextmanager
def traced_with(
    network: keras.Model, implementation: Implementation, deformable: DeformConvImplementation
) -> Iterator[None]:
    """What is traced in the block uses these implementations; afterwards the network has its own again.

    Args:
        network: any network; one without operations of ours is left as it is.
        implementation: of all operations but deformable convolution, see `ops.deform_conv2d`.
        deformable: that of deformable convolution.
    """
    layers = [layer for layer in network.submodules if hasattr(layer, "implementation")]
    before = [layer.implementation for layer in layers]
    try:
        for layer in layers:
            layer.implementation = deformable if isinstance(layer, DeformableConv2D) else implementation
        yield
    finally:
        for layer, own in zip(layers, before):
            layer.implementation = own


def has_deformable_convolution(network: keras.Model) -> bool:
    """Whether a network has a deformable convolution, which some formats have no operator for."""
    return any(isinstance(layer, DeformableConv2D) for layer in network.submodules)
