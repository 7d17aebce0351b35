"""Colours of the eyeballs and of the inside of the mouth of a drawn head.

Functions take float32 vectors of N points and return colours `[3, N]`, linear-light reflectances.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.layout import Layout
from rethink_fr.drawn_faces.noise import Noise, Vector, bell, mix, ramp
from rethink_fr.drawn_faces.person import Person
from rethink_fr.drawn_faces.shape import EYEBALL_RADIUS


def mouth_inside(layout: Layout, s: Vector, t: Vector) -> Tuple[Vector, np.ndarray]:
    """What the open mouth shows: how much of it covers each point `[N]`, and its colours `[3, N]`."""
    across = s / layout.mouth_half_width
    _, upper, lower, _ = layout.mouth(np.clip(across, -1.0, 1.0))
    cover = ramp(t - upper, 0.016) * ramp(lower - t, 0.016) * ramp(0.97 - np.abs(across), 0.05)
    colours = np.empty((3, s.size), np.float32)
    colours[:] = np.array([0.055, 0.012, 0.012], np.float32)[:, None]
    tongue = bell(s, 0.26) * ramp(t - layout.mouth_t - 0.4 * layout.gap_low, 0.10)
    mix(colours, (0.34, 0.10, 0.10), 0.8 * tongue)
    bent = s * (1.0 + 0.55 * s * s) / 0.088
    tooth = np.abs(bent - np.round(bent - 0.5) - 0.5) * 2.0  # 0 in the middle of a tooth, 1 between two
    gap = 1.0 - 0.40 * ramp(tooth - 0.80, 0.2)
    edge = (
        layout.mouth_t
        - 0.6 * layout.mouth_lift * across * across
        + 0.075
        - 0.02 * tooth * tooth
        - 0.05 * across * across
    )
    shade = gap * np.clip(1.08 - 0.75 * across * across, 0.1, 1.0)
    ivory = np.array([0.74, 0.70, 0.62], np.float32)[:, None] * shade
    mix(colours, ivory, ramp(edge - t, 0.02))
    low_edge = layout.mouth_t + layout.gap_low - 0.045 + 0.06 * across * across
    mix(colours, 0.7 * ivory, ramp(t - low_edge, 0.02) * min(1.0, 3.0 * layout.gap_low) * 0.8)
    colours *= 0.45 + 0.55 * ramp(t - upper, 0.07)
    return cover, colours


def eye_cover(layout: Layout, eye: int, s: Vector, t: Vector) -> Tuple[Vector, Vector, Vector]:
    """Where one eye is open: cover, position between the corners (-1 inner, 1 outer), and depth below the upper lid."""
    outward = (s - layout.eye_s[eye]) * ((-1.0 if eye == 0 else 1.0) / layout.eye_half_width)
    upper, lower = layout.lids(eye, np.clip(outward, -1.0, 1.0))
    cover = ramp(t - upper, 0.014) * ramp(lower - t, 0.014) * (np.abs(outward) < 1.0)
    return cover, outward, t - upper


def eye_colours(
    person: Person, gaze: np.ndarray, normal: np.ndarray, outward: Vector, depth: Vector, noise: Noise
) -> np.ndarray:
    """Colours `[3, N]` of the eyeball at the points with the unit normals `normal` [3, N].

    `gaze` is the unit vector in which the eye looks; iris and pupil are discs around it.
    """
    right = np.array([gaze[2], 0.0, -gaze[0]]) / np.hypot(gaze[0], gaze[2])
    down = np.cross(gaze, right)
    iris_sine = 0.136 / EYEBALL_RADIUS
    a = (right.astype(np.float32) @ normal) / iris_sine
    b = (down.astype(np.float32) @ normal) / iris_sine
    radius = np.sqrt(a * a + b * b)
    angle = np.arctan2(b, a)
    colours = np.empty((3, a.size), np.float32)
    colours[:] = np.array([0.52, 0.48, 0.46], np.float32)[:, None]
    red = 0.25 * ramp(np.abs(outward) - 0.45, 0.6) + 0.06 * np.abs(noise(a, b, 6.0, 6.0))
    colours *= 1.0 - np.array([0.15, 0.75, 0.75], np.float32)[:, None] * red
    mix(colours, (0.42, 0.16, 0.14), ramp(-0.80 - outward, 0.12))
    fibres = 1.0 + 0.35 * noise(angle, radius, 9.0, 1.5) + 0.20 * noise(angle, radius, 26.0, 3.0)
    rings = (1.0 + 0.7 * bell(radius - 0.52, 0.16)) * (1.0 - 0.70 * ramp(radius - 0.76, 0.24))
    iris = np.array(person.iris, np.float32)[:, None] * (0.80 * np.clip(fibres, 0.2, 2.5) * rings)
    mix(colours, iris, ramp(1.04 - radius, 0.10))
    mix(colours, (0.004, 0.004, 0.004), ramp(0.46 - radius, 0.07))
    colours *= 0.25 + 0.75 * ramp(depth, 0.10)
    return colours
