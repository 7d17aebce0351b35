"""Keras layers that the networks are made of. They know nothing of networks, losses or configurations."""

from rethink_fr.layers.attention_pooling import AttentionPooling
from rethink_fr.layers.deformable import DeformableConv2D
from rethink_fr.layers.equalized import EqualizedConv2D, EqualizedDense
from rethink_fr.layers.fusion import LinearGatedFusion, SpatialFeatureTransform
from rethink_fr.layers.group_norm import GroupNorm, GroupNormSwish
from rethink_fr.layers.latent_gate import AdaptiveLatentGate
from rethink_fr.layers.minibatch_stddev import MinibatchStdDev
from rethink_fr.layers.modulation import ModulatedConv2D, StyleBlock
from rethink_fr.layers.pixel_noise import PixelNoise
from rethink_fr.layers.quantizer import VectorQuantizer
from rethink_fr.layers.residual import ResBlock

__all__ = [
    "AdaptiveLatentGate",
    "AttentionPooling",
    "DeformableConv2D",
    "EqualizedConv2D",
    "EqualizedDense",
    "GroupNorm",
    "GroupNormSwish",
    "LinearGatedFusion",
    "MinibatchStdDev",
    "ModulatedConv2D",
    "PixelNoise",
    "ResBlock",
    "SpatialFeatureTransform",
    "StyleBlock",
    "VectorQuantizer",
]
