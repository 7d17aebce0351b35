"""Where eyes, brows, nose, mouth and chin of a drawn face are, for one person with one expression.

Positions are in a chart of the face, `(s, t)`: s to the right of the image, t down, 0 in the middle of the face between
eyes and mouth. They are close to the positions in head units seen from the front; `shape.py` says how the chart covers
the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.noise import Vector
from rethink_fr.drawn_faces.person import Person
from rethink_fr.drawn_faces.shot import Shot

# How far the middle of an open eye is above the line between its corners.
EYE_RISE = 0.035
# The brows run from |s| = BROW_START to BROW_START + BROW_LENGTH.
BROW_START = 0.24
BROW_LENGTH = 0.86


@dataclass(frozen=True)
class Layout:
    """Positions of the features in the chart. Of eyes and brows, that on the left of the image comes first."""

    eye_s: Tuple[float, float]
    eye_t: Tuple[float, float]
    eye_half_width: float
    eye_cant: float
    lid_up: Tuple[float, float]  # heights of the upper and lower lid's arcs over the line of the corners
    lid_low: Tuple[float, float]
    lid_full: float  # height of the upper arc of the open eye: where the fold of the lid lies
    brow_t: Tuple[float, float]
    brow_arch: float
    brow_slope: float
    brow_knit: float
    nose_tip_t: float
    nose_half_width: float
    mouth_t: float
    mouth_half_width: float
    mouth_lift: float
    mouth_tilt: float
    lip_up: float
    lip_low: float
    cupid: float
    gap_up: float
    gap_low: float
    chin_t: float

    def lids(self, eye: int, outward: Vector) -> Tuple[Vector, Vector]:
        """t of the edges of the upper and the lower lid at `outward`: -1 is the inner corner, 1 the outer one."""
        arc = np.maximum(1.0 - outward * outward, 0.0)
        base = self.eye_t[eye] - self.eye_cant * self.eye_half_width * outward
        return base - self.lid_up[eye] * arc * (1.06 - 0.16 * outward), base + self.lid_low[eye] * arc * (
            1 + 0.2 * outward
        )

    def brow(self, eye: int, along: Vector) -> Vector:
        """t of the middle line of the brow at `along`: 0 is the inner end, 1 the outer one."""
        arch = 4.0 * along * (1.0 - along) + 0.5 * along * along * (1.0 - along)
        inner = self.brow_knit * np.maximum(1.0 - 2.0 * along, 0.0)
        return self.brow_t[eye] - self.brow_arch * arch - self.brow_slope * (along - 0.5) + 0.07 * along**3 + inner

    def mouth(self, across: Vector) -> Tuple[Vector, Vector, Vector, Vector]:
        """t of the upper and lower edge of the upper lip, then of the lower lip; `across` is -1 to 1."""
        square = np.minimum(across * across, 1.0)
        arc = 1.0 - square
        line = self.mouth_t - self.mouth_lift * square + self.mouth_tilt * across + 0.012 * np.cos(9.0 * across) * arc
        dip = 1.0 - 0.30 * self.cupid * np.exp(-((across / 0.13) ** 2))
        upper, lower = line - self.gap_up * arc, line + self.gap_low * arc
        return (
            upper - self.lip_up * arc * dip * (1.0 - 0.2 * square),
            upper,
            lower,
            lower + self.lip_low * arc * (1.0 + 0.3 * square),
        )


def lay_out(person: Person, shot: Shot) -> Layout:
    """Compute where the features of a person are in one picture."""
    smile, jaw = shot.smile, shot.jaw_open
    happy = max(smile, 0.0)
    half, opening = person.eye_size
    opened = tuple(min(value, 1.25) for value in shot.eye_open)
    eye_t = -0.61
    brow_t = eye_t - person.brow_shape[0] - 0.085 * shot.brow_raise
    mouth_t = person.mouth_height + 0.04 * jaw
    up, low = person.lips
    return Layout(
        eye_s=(-0.64 * person.eye_spacing, 0.64 * person.eye_spacing),
        eye_t=(eye_t + person.asymmetry[0], eye_t - person.asymmetry[0]),
        eye_half_width=half,
        eye_cant=person.eye_cant,
        lid_up=(-0.066 + (opening + 0.066) * opened[0], -0.066 + (opening + 0.066) * opened[1]),
        lid_low=(0.065 - 0.02 * happy, 0.065 - 0.02 * happy),
        lid_full=opening,
        brow_t=(brow_t + person.asymmetry[1], brow_t - person.asymmetry[1]),
        brow_arch=person.brow_shape[2],
        brow_slope=person.brow_shape[3],
        brow_knit=0.06 * min(shot.brow_knit, 1.0),
        nose_tip_t=0.05 + person.nose_length,
        nose_half_width=0.235 * person.nose_width * (1.0 + 0.08 * happy),
        mouth_t=mouth_t,
        mouth_half_width=person.mouth_width * (1.0 + 0.20 * smile - 0.08 * jaw - 0.3 * shot.pucker),
        mouth_lift=0.085 * smile,
        mouth_tilt=person.asymmetry[2],
        lip_up=up * (1.0 - 0.22 * happy + 0.4 * shot.pucker),
        lip_low=low * (1.0 - 0.15 * happy + 0.4 * shot.pucker),
        cupid=person.cupid * (1.0 - 0.5 * happy),
        gap_up=0.055 * min(jaw * 3.0, 1.0) * (0.4 + happy),
        gap_low=0.36 * jaw,
        chin_t=1.36 * person.jaw_length + 0.24 * jaw,
    )
