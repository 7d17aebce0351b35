"""Faces as a restorer wants them, whatever picture or film they are in: aligned, restored in batches, and finished.

    faces = align(picture, find_faces(picture, detector), restorer.resolution)
    draws = [face_noise(restorer, face.crop, seed, samples) for face in faces]
    restored = restore_faces(restorer, [face.crop for face in faces], draws)  # one uint8 [samples, R, R, 3] for each
    paste(picture, [patch(made[0], face.crop, face.matrix, picture.size) for made, face in zip(restored, faces)])

Nothing here imports TensorFlow by itself; the restorer that is given brings it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rethink_fr.faces.face import Face
from rethink_fr.pictures.geometry import Matrix, crop, ffhq_points, similarity
from rethink_fr.pictures.pasting import feathered_mask

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

BATCH = 4  # squares that are restored at a time
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_CONTRAST = (0.7, 1.4)  # by how much matching colours may change the contrast of a channel

Noise = Optional[npt.NDArray[np.float32]]  # [samples, *noise_shape]; None for a restorer that takes none


class AlignedFace(NamedTuple):
    """A face, and the square that FFHQ would frame it in."""

    face: Face
    matrix: Matrix  # from the picture to the square
    crop: npt.NDArray[np.uint8]  # [side, side, 3]


def align(picture: Image.Image, faces: Sequence[Face], side: int) -> List[AlignedFace]:
    """Cut the aligned squares of faces out of their picture, of mode L, LA, RGB or RGBA."""
    aligned = []
    for face in faces:
        matrix = similarity(face.points, ffhq_points(side))
        aligned.append(AlignedFace(face, matrix, crop(picture, matrix, side)))
    return aligned


def face_noise(restorer: LoadedRestorer, square: npt.NDArray[np.uint8], seed: int, samples: int) -> Noise:
    """The noise of a face, one row for each sample: the same for the same pixels and seed, whatever is beside them."""
    if restorer.noise_shape is None:
        return None
    drawn: npt.NDArray[np.float32] = restorer.draw_noise(seed, samples, of=square).numpy()
    return drawn


def restore_faces(
    restorer: LoadedRestorer,
    squares: Sequence[npt.NDArray[np.uint8]],
    draws: Sequence[Noise],
    noise_scale: float = 1.0,
    fidelity: Optional[float] = None,
) -> List[npt.NDArray[np.uint8]]:
    """Restore squares, of one picture or of several, `BATCH` at a time.

    Args:
        restorer: see `load_restorer`.
        squares: `[R, R, 3]` each.
        draws: the noise of each, see `face_noise`; a square is restored once for each row of it.
        noise_scale, fidelity: as a call of the restorer.

    Returns:
        For each square its restorations, `[samples, R, R, 3]`; one without noise.
    """
    from rethink_fr import images as ranges

    counts = [1 if noise is None else len(noise) for noise in draws]
    work = [(square, sample) for square, count in enumerate(counts) for sample in range(count)]
    made: List[npt.NDArray[np.uint8]] = []
    for start in range(0, len(work), BATCH):
        part = work[start : start + BATCH]
        batch = ranges.to_model(np.stack([squares[square] for square, _ in part]))
        rows = [
            noise[sample] for noise, sample in ((draws[square], sample) for square, sample in part) if noise is not None
        ]
        restored = restorer(batch, np.stack(rows) if rows else None, noise_scale, fidelity=fidelity)
        made.extend(ranges.to_uint8(restored).numpy())
    ends = np.cumsum(counts)
    return [np.stack(made[end - count : end]) for end, count in zip(ends, counts)]


def as_grey(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Squares `[..., 3]` with their luma in all channels."""
    luma = np.rint(squares.astype(np.float32) @ _LUMA)
    return np.repeat(np.clip(luma, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def with_colours_of(squares: npt.NDArray[np.uint8], cut: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Restorations `[samples, R, R, 3]` with the mean and the contrast that each channel has in the square `cut`.

    As Reinhard et al. 2001 (IEEE Computer Graphics and Applications 21, 5), in RGB and where the square is pasted.
    """
    weight = feathered_mask(len(cut))[..., None]

    def moments(image: npt.NDArray[np.float32]) -> Tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        mean = np.sum(weight * image, axis=(0, 1)) / weight.sum()
        return mean, np.sqrt(np.sum(weight * np.square(image - mean), axis=(0, 1)) / weight.sum())

    wanted_mean, wanted_contrast = moments(cut.astype(np.float32))
    matched = []
    for square in squares.astype(np.float32):
        mean, contrast = moments(square)
        gain = np.clip(wanted_contrast / np.maximum(contrast, 1e-3), *_CONTRAST)
        matched.append(np.clip(np.rint((square - mean) * gain + wanted_mean), 0, 255).astype(np.uint8))
    return np.stack(matched)
