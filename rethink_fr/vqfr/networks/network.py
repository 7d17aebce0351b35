"""The networks: VQGAN (stage 1) and VQFR (stage 2), versions 1 and 2."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple, Union

import tensorflow as tf
from tensorflow import keras

from rethink_fr.vqfr.networks.architecture import Architecture, reduced_architecture
from rethink_fr.vqfr.networks.autoencoder import Encoder, TextureDecoder
from rethink_fr.vqfr.networks.codes import Codebook, CodeSelection, PredictedCodes, ProjectedCodebook
from rethink_fr.vqfr.networks.convolution import Chain, Convolution
from rethink_fr.vqfr.networks.main_branch import INPUT_CHANNELS, InputAwareHead, MainBranch


class Reconstruction(NamedTuple):
    """What `VQGAN` returns for images `[B, H, W, 3]`."""

    image: tf.Tensor  # [B, H, W, 3], nominally [-1, 1], not clipped
    selection: CodeSelection


class Faces(NamedTuple):
    """What `VQFR` returns for degraded images `[B, H, W, 3]`; nominally [-1, 1], not clipped."""

    restored: tf.Tensor  # [B, H, W, 3], of the main branch
    texture: tf.Tensor  # [B, H, W, 3], of the texture branch: what the codes alone say


class VQGAN(keras.Model):
    """Autoencoder through a codebook of facial textures, trained on clean faces (stage 1).

    "VQFR" (Gu et al., ECCV 2022), section 3.1; published: 52,781,827 parameters (version 1), 63,740,099 (version 2).

    Call with images, float32 `[B, H, W, 3]` RGB in [-1, 1]; returns a `Reconstruction`. `quantize=False` lets the
    features pass the codebook as they are (the start of version 1's training).

    Args:
        version: 1 (the paper) or 2 (its authors' later release).
        resolution, width, levels, codebook_size: see `reduced_architecture`; the defaults are the published network.

    Raises:
        ValueError: if an argument, or the static shape of the images, does not fit.
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
        super().__init__(**kwargs)
        self.architecture = reduced_architecture(version, resolution, width, levels, codebook_size)
        self.resolution = resolution
        self.encoder = Encoder(self.architecture, name="encoder")
        self.quantizer = nearest_codes(self.architecture)
        self.decoder = TextureDecoder(self.architecture, name="decoder")

    def call(self, images: tf.Tensor, quantize: bool = True) -> Reconstruction:
        selection = self.select_codes(images, quantize)
        return Reconstruction(self.decoder.to_image(self.decoder(selection.quantized)[-1]), selection)

    @property
    def codebook(self) -> tf.Variable:
        """The codes, `[codebook_size, code_size]`."""
        quantizer = self.quantizer
        return quantizer.codebook if isinstance(quantizer, Codebook) else quantizer.codebook.codebook

    def select_codes(self, images: tf.Tensor, quantize: bool = True) -> CodeSelection:
        """The codes that stand for images."""
        self.architecture.check_images(type(self).__name__, tuple(images.shape))
        return self.quantizer(self.encoder(images), quantize)

    def code_indices(self, images: tf.Tensor) -> tf.Tensor:
        """int32 `[B, H / f, W / f]`: which code each square of f x f pixels gets."""
        return self.select_codes(images).indices


class VQFR(keras.Model):
    """Face restoration from a codebook of textures: a texture branch, and a main branch that warps its features.

    "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder" (Gu et al., ECCV 2022). Where
    paper and released code differ this is the code's network, whose size the paper states: 76,563,583 parameters in
    version 1 (76.3 million without the codebook), 83,486,539 in version 2.

    Version 1: nearest codes; the main branch's last convolution sees the degraded image. Version 2: attention at the
    codes' size, predicted codes, and a `fidelity` that weighs the main branch's features, which the texture decoder's
    own last step turns into the image.

    Call with `(images, fidelity)`:
        images:   degraded, float32 `[B, H, W, 3]` RGB in [-1, 1]. Version 1 takes sides from half to twice the
                  resolution, multiples of 32; version 2 the resolution only.
        fidelity: version 2 only: scalar, or one value for each image, in [0, 1]; 0 gives the texture image exactly,
                  None is 1, the value it is trained with. Version 1 has no such thing (its released code ignores it).
    Returns `Faces`.

    Args:
        version: 1 or 2.
        resolution, width, levels, codebook_size: see `reduced_architecture`; the defaults are the published network.

    Raises:
        ValueError: if an argument, or the static shape of the images, does not fit.
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
        super().__init__(**kwargs)
        self.architecture = reduced_architecture(version, resolution, width, levels, codebook_size)
        self.resolution = resolution
        self.takes_fidelity = version == 2
        self.encoder = Encoder(self.architecture, name="encoder")
        self.decoder = TextureDecoder(self.architecture, name="decoder")
        if version == 1:
            self.quantizer = nearest_codes(self.architecture)
            conv = Convolution(INPUT_CHANNELS, name="inpfeat_extraction.conv")
            self.main_branch = MainBranch(self.architecture, name="main_decoder")
            self.head = InputAwareHead(name="main_decoder")
        else:
            self.quantizer = PredictedCodes(
                codebook_size, self.architecture.code_size, "quantizer.embedding", name="feat2index"
            )
            conv = Convolution(INPUT_CHANNELS, name="inpfeat_extraction")
            self.main_branch = MainBranch(self.architecture, name="main_branch")
        self.input_features = Chain([conv], name="inpfeat_extraction")

    def call(self, images: tf.Tensor, fidelity: Union[tf.Tensor, float, None] = None) -> Faces:
        return self.forward(images, fidelity)[0]

    def forward(self, images: tf.Tensor, fidelity: Union[tf.Tensor, float, None] = None) -> Tuple[Faces, CodeSelection]:
        """As a call, with the codes that were selected beside (for the losses of stage 2)."""
        weight = self._fidelity_weight(fidelity, images.dtype)
        selection = self.select_codes(images)
        textures = self.decoder(selection.quantized)
        if weight is not None:
            # Version 2 runs its texture decoder without gradients: stage 2 leaves it as stage 1 made it.
            textures = tuple(tf.stop_gradient(features) for features in textures)
        texture = self.decoder.to_image(textures[-1])
        features = self.main_branch(textures, self.input_features(images))
        if weight is None:
            restored = self.head(features, images)
        else:
            restored = self.decoder.to_image(textures[-1] + weight * features)
        return Faces(restored, texture), selection

    @property
    def codebook(self) -> tf.Variable:
        """The codes, `[codebook_size, code_size]`."""
        return self.quantizer.codebook.codebook

    @property
    def last_kernel(self) -> tf.Variable:
        """Of the convolution that makes the restored image; version 2 shares it with the texture image."""
        return self.decoder.last_kernel if self.takes_fidelity else self.head.conv.kernel

    def select_codes(self, images: tf.Tensor) -> CodeSelection:
        """The codes that stand for degraded images."""
        self.architecture.check_images(type(self).__name__, tuple(images.shape))
        return self.quantizer(self.encoder(images))

    def code_indices(self, images: tf.Tensor) -> tf.Tensor:
        """int32 `[B, H / f, W / f]`: which code each square of f x f pixels gets."""
        return self.select_codes(images).indices

    def _fidelity_weight(self, fidelity: Union[tf.Tensor, float, None], dtype: tf.DType) -> Optional[tf.Tensor]:
        """`[1 or B, 1, 1, 1]`; None in version 1."""
        if not self.takes_fidelity:
            if fidelity is not None:
                raise ValueError("VQFR: version 1 has no fidelity; leave it out, or use a network of version 2")
            return None
        fidelity = 1.0 if fidelity is None else fidelity
        if isinstance(fidelity, (int, float)) and not 0.0 <= fidelity <= 1.0:
            raise ValueError(f"VQFR: fidelity is {fidelity}, expected 0 to 1")
        return tf.reshape(tf.cast(fidelity, dtype), [-1, 1, 1, 1])


def nearest_codes(architecture: Architecture) -> Union[Codebook, ProjectedCodebook]:
    """The layer that replaces features by the nearest codes, as each version has it in stage 1."""
    size, length = architecture.codebook_size, architecture.code_size
    if architecture.version == 1:
        name = f"quantizer.quantize_dict.Level_{architecture.factors[-1]}"
        return ProjectedCodebook(size, length, architecture.channels[-1], name=name)
    return Codebook(size, length, name="quantizer.embedding")
