"""The networks that are trained and used: VQGAN (stage 1) and VQFR (stage 2), versions 1 and 2."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Optional, Tuple, Union

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.parts import in_parts
from rethink_fr.vqfr.networks.architecture import Architecture, reduced_architecture
from rethink_fr.vqfr.networks.autoencoder import Encoder, TextureDecoder
from rethink_fr.vqfr.networks.codes import Codebook, CodeSelection, PredictedCodes, ProjectedCodebook
from rethink_fr.vqfr.networks.convolution import Chain, Convolution
from rethink_fr.vqfr.networks.main_branch import INPUT_CHANNELS, InputAwareHead, MainBranch, SingleBranch

DECODERS = ("parallel", "unwarped", "single", "codes")


class Reconstruction(NamedTuple):
    """What a `VQGAN` returns for images `[B, H, W, 3]`."""

    image: tf.Tensor  # [B, H, W, 3], nominally in [-1, 1], not clipped
    selection: CodeSelection


class Faces(NamedTuple):
    """What a `VQFR` returns for degraded images `[B, H, W, 3]`: images nominally in [-1, 1], not clipped."""

    restored: tf.Tensor  # [B, H, W, 3], from the main branch
    texture: tf.Tensor  # [B, H, W, 3], from the texture branch, made of the codes alone


class _CodeNetwork(keras.Model):
    """What both networks have in common: their sizes, an encoder, and codes that replace its features.

    Args:
        architecture: the sizes.
    """

    quantizer: keras.layers.Layer  # features -> `CodeSelection`

    def __init__(self, architecture: Architecture, **kwargs) -> None:
        super().__init__(**kwargs)
        self.architecture = architecture
        self.resolution = architecture.resolution
        # The order of the parts is that of the variables in checkpoints of optimizers.
        self.encoder = Encoder(architecture, name="encoder")

    @property
    def codebook(self) -> tf.Variable:
        """The codes, `[codebook_size, code_size]`."""
        quantizer = self.quantizer
        return quantizer.codebook if isinstance(quantizer, Codebook) else quantizer.codebook.codebook

    def select_codes(self, images: tf.Tensor, **options: bool) -> CodeSelection:
        """The codes that stand for images `[B, H, W, 3]`; `options` are those of the quantizer."""
        self.architecture.check_images(type(self).__name__, tuple(images.shape))
        return self.quantizer(self.encoder(images), **options)

    def code_indices(self, images: tf.Tensor) -> tf.Tensor:
        """The number of the code for each square of f x f pixels, int32 `[B, H / f, W / f]`."""
        return self.select_codes(images).indices


class VQGAN(_CodeNetwork):
    """An autoencoder of faces through a codebook of textures; trained on clean faces (stage 1).

    "VQFR" (Gu et al., ECCV 2022), section 3.1. The published networks have 52,781,827 parameters (version 1) and
    63,740,099 (version 2).

    Call with images, float32 `[B, H, W, 3]` RGB in [-1, 1]. Returns a `Reconstruction`. With `quantize=False` the
    features are not replaced by codes, as at the start of version 1's training.

    Example:
        >>> network = VQGAN(version=1, resolution=64, width=0.25, levels=3)
        >>> made = network(tf.zeros([2, 64, 64, 3]))
        >>> made.image.shape, made.selection.indices.shape
        (TensorShape([2, 64, 64, 3]), TensorShape([2, 16, 16]))

    Args:
        version: 1 (the paper) or 2 (its authors' later release).
        resolution, width, levels, codebook_size: see `reduced_architecture`; the defaults are the published network.

    Raises:
        ValueError: if an argument, or the static shape of the images, is not valid.
    """

    def __init__(
        self,
        version: int = 1,
        resolution: int = 512,
        width: float = 1.0,
        levels: int = 6,
        codebook_size: int = 1024,
        **kwargs,
    ) -> None:
        super().__init__(reduced_architecture(version, resolution, width, levels, codebook_size), **kwargs)
        self.quantizer = nearest_codes(self.architecture)
        self.decoder = TextureDecoder(self.architecture, name="decoder")

    def call(self, images: tf.Tensor, quantize: bool = True) -> Reconstruction:
        return self.reconstruct(images, quantize)

    def reconstruct(self, images: tf.Tensor, quantize: bool = True, parts: int = 1) -> Reconstruction:
        """As a call; all but the last step is computed in `parts`, see `in_parts`."""

        def features(images: tf.Tensor) -> Tuple[tf.Tensor, CodeSelection]:
            selection = self.select_codes(images, quantize=quantize)
            return self.decoder(selection.quantized)[-1], selection

        last, selection = in_parts(features, parts, images)
        return Reconstruction(self.decoder.to_image(last), selection)


class VQFR(_CodeNetwork):
    """Restores degraded faces by a codebook of textures: a texture branch, and a main branch that warps its features.

    "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder" (Gu et al., ECCV 2022). Where
    the paper and the released code differ, this is the network of the code, which has the number of parameters that the
    paper states: 76,563,583 in version 1 (76.3 million without the codebook), 83,486,539 in version 2.

    Version 1 uses the nearest codes, and its last convolution sees the degraded image. Version 2 has attention where
    features have the size of the codes, and predicts the codes. A `fidelity` weighs the features of its main branch,
    which the last step of the texture decoder then turns into the image.

    Call with `(images, fidelity)`:
        images: degraded, float32 `[B, H, W, 3]` RGB in [-1, 1]. Version 1 takes sides from half to twice its
            resolution, in multiples of 32; version 2 takes its resolution only.
        fidelity: for version 2 only, a scalar or one value for each image, in [0, 1]. With 0 the result is the texture
            image; None means 1, with which the network is trained. (Version 1's released code ignores it.)
    Returns `Faces`.

    Example:
        >>> network = VQFR(version=2, resolution=64, width=0.25, levels=3)
        >>> faces = network(tf.zeros([2, 64, 64, 3]), fidelity=0.5)
        >>> faces.restored.shape
        TensorShape([2, 64, 64, 3])

    Args:
        version: 1 (the paper) or 2 (its authors' later release).
        resolution, width, levels, codebook_size: see `reduced_architecture`; the defaults are the published network.
        decoder: "parallel" for the published network. The others are ablations in our reading of the paper's
            supplement: "unwarped", whose main branch joins textures and input features by a convolution instead of
            warping (see `TextureJoining`); "single", whose input features enter the texture decoder itself (see
            `SingleBranch`); and "codes" (SimVQFR), a texture decoder that sees nothing but the codes. The last two, of
            version 1 only, have no main branch: their restored image is the texture image.

    Raises:
        ValueError: if an argument, or the static shape of the images, is not valid.
    """

    def __init__(
        self,
        version: int = 1,
        resolution: int = 512,
        width: float = 1.0,
        levels: int = 6,
        codebook_size: int = 1024,
        decoder: str = "parallel",
        **kwargs,
    ) -> None:
        if decoder not in DECODERS:
            raise ValueError(f"VQFR: decoder is {decoder!r}, expected one of {', '.join(DECODERS)}")
        super().__init__(reduced_architecture(version, resolution, width, levels, codebook_size), **kwargs)
        architecture = self.architecture
        self.has_main_branch = decoder in ("parallel", "unwarped")
        if version == 2 and not self.has_main_branch:
            raise ValueError(f"VQFR: decoder {decoder!r} is of version 1; version 2 has it as fidelity 0")
        self.takes_fidelity = version == 2
        self.decoder = TextureDecoder(architecture, name="decoder")
        self.single_branch: Optional[SingleBranch] = None
        if architecture.version == 1:
            self.quantizer = nearest_codes(architecture)
            conv = Convolution(INPUT_CHANNELS, name="inpfeat_extraction.conv")
            if self.has_main_branch:
                self.main_branch = MainBranch(architecture, decoder == "parallel", name="main_decoder")
                self.head = InputAwareHead(name="main_decoder")
            elif decoder == "single":
                self.single_branch = SingleBranch(architecture, name="single_branch")
        else:
            size, length = architecture.codebook_size, architecture.code_size
            self.quantizer = PredictedCodes(size, length, "quantizer.embedding", name="feat2index")
            conv = Convolution(INPUT_CHANNELS, name="inpfeat_extraction")
            self.main_branch = MainBranch(architecture, decoder == "parallel", name="main_branch")
        if decoder != "codes":
            self.input_features = Chain([conv], name="inpfeat_extraction")

    def call(self, images: tf.Tensor, fidelity: Union[tf.Tensor, float, None] = None) -> Faces:
        return self.forward(images, fidelity)[0]

    def forward(
        self, images: tf.Tensor, fidelity: Union[tf.Tensor, float, None] = None, parts: int = 1
    ) -> Tuple[Faces, CodeSelection]:
        """As a call, but also returns the codes that were selected; for the losses of stage 2.

        All but the last steps, which make the images, is computed in `parts`; see `in_parts`.
        """
        weight = self._fidelity_weight(fidelity, images.dtype)
        texture, features, selection = in_parts(self._features, parts, images)
        made = self.decoder.to_image(texture)
        if not self.has_main_branch:
            restored = made
        elif weight is None:
            restored = self.head(features, images)
        else:
            restored = self.decoder.to_image(texture + weight * features)
        return Faces(restored, made), selection

    def _features(self, images: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor, CodeSelection]:
        """The last features of the texture decoder and of the main branch, `[B, H, W, C]`, and the codes.

        Without a main branch both are the texture decoder's.
        """
        selection = self.select_codes(images)
        if not self.has_main_branch:
            join = None
            if self.single_branch is not None:
                join = partial(self._joined, self.input_features(images))
            last = self.decoder.decode(selection.quantized, join)[-1]
            return last, last, selection
        textures = self.decoder(selection.quantized)
        if self.takes_fidelity:
            # Stage 2 of version 2 leaves the texture decoder as stage 1 made it: no gradients there.
            textures = tuple(tf.stop_gradient(features) for features in textures)
        return textures[-1], self.main_branch(textures, self.input_features(images)), selection

    @property
    def last_kernel(self) -> tf.Variable:
        """Kernel of the convolution that makes the restored image.

        In version 2, and without a main branch, it makes the texture image, too.
        """
        return self.head.conv.kernel if self.has_main_branch and not self.takes_fidelity else self.decoder.last_kernel

    def _joined(self, input_features: tf.Tensor, position: int, features: tf.Tensor) -> tf.Tensor:
        assert self.single_branch is not None
        return self.single_branch(features, input_features, position)

    def _fidelity_weight(self, fidelity: Union[tf.Tensor, float, None], dtype: tf.DType) -> Optional[tf.Tensor]:
        """The fidelity as `[1 or B, 1, 1, 1]`; None in version 1."""
        if not self.takes_fidelity:
            if fidelity is not None:
                raise ValueError("VQFR: version 1 has no fidelity; leave it out, or use a network of version 2")
            return None
        fidelity = 1.0 if fidelity is None else fidelity
        if isinstance(fidelity, (int, float)) and not 0.0 <= fidelity <= 1.0:
            raise ValueError(f"VQFR: fidelity is {fidelity}, expected 0 to 1")
        return tf.reshape(tf.cast(fidelity, dtype), [-1, 1, 1, 1])


def nearest_codes(architecture: Architecture) -> Union[Codebook, ProjectedCodebook]:
    """The layer of stage 1 that replaces features by the nearest codes."""
    size, length = architecture.codebook_size, architecture.code_size
    if architecture.version == 1:
        name = f"quantizer.quantize_dict.Level_{architecture.factors[-1]}"
        return ProjectedCodebook(size, length, architecture.channels[-1], name=name)
    return Codebook(size, length, name="quantizer.embedding")
