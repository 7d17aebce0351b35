"""Colours of what is not skin: the inside of the mouth, the eyeballs and the hair of a drawn head.

Functions take float32 vectors of N points and return colours `[3, N]`, linear-light reflectances.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.layout import Layout
from rethink_fr.drawn_faces.noise import Noise, Vector, bell, mix, norm, ramp
from rethink_fr.drawn_faces.shape import EYEBALL_RADIUS, hair_reach
from rethink_fr.drawn_faces.traits import Person


def mouth_inside(layout: Layout, s: Vector, t: Vector) -> Tuple[Vector, np.ndarray]:
    """Cover `[N]` and colours `[3, N]` of what the open mouth shows: teeth, tongue, darkness."""
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
    """Cover of one eye's opening, position between the corners (-1 inner, 1 outer) and depth under the upper lid."""
    outward = (s - layout.eye_s[eye]) * ((-1.0 if eye == 0 else 1.0) / layout.eye_half_width)
    upper, lower = layout.lids(eye, np.clip(outward, -1.0, 1.0))
    cover = ramp(t - upper, 0.014) * ramp(lower - t, 0.014) * (np.abs(outward) < 1.0)
    return cover, outward, t - upper


def eye_colours(
    person: Person, gaze: np.ndarray, normal: np.ndarray, outward: Vector, depth: Vector, noise: Noise
) -> np.ndarray:
    """Colours `[3, N]` of the eyeball where its unit normal is `normal` [3, N]: sclera, iris, pupil.

    `gaze` is the unit vector the eye looks along; iris and pupil are discs around it.
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


def strand_frame(person: Person) -> np.ndarray:
    """float32 [3, 3], rows: two directions around the point where the hair starts, and that point."""
    style = person.hair_style
    if style in ("parted", "bob", "long", "wavy"):
        crown = np.array([0.42 * person.hair_part, -0.97, 0.25])
    elif style in ("swept", "receding"):
        crown = np.array([0.0, -0.35, 1.0])
    else:
        crown = np.array([0.15 * person.hair_part, -0.85, -0.55])
    crown /= np.linalg.norm(crown)
    front = np.array([0.0, 0.0, 1.0]) if style not in ("swept", "receding") else np.array([0.0, 1.0, 0.0])
    front = front - crown * (front @ crown)
    front /= np.linalg.norm(front)
    return np.stack([front, np.cross(crown, front), crown]).astype(np.float32)


def hair(person: Person, direction: np.ndarray, noise: Noise) -> Tuple[Vector, np.ndarray, np.ndarray]:
    """Cover `[N]`, colours `[3, N]` and strand tangents `[3, N]` where the surface lies in `direction` [3, N]."""
    frame = strand_frame(person)
    front, sideways, up = frame @ direction
    azimuth = np.arctan2(sideways, front)
    polar = np.arccos(np.clip(up, -1.0, 1.0))
    style = person.hair_style
    if style == "curly":
        x, y = azimuth * (0.4 + np.sin(polar)), polar
        curl = noise(x, y, 9.0, 9.0) + 0.8 * noise(x + 0.03 * noise(x, y, 12.0, 12.0), y, 22.0, 22.0)
        strands = curl + 0.5 * noise(x, y, 55.0, 55.0)
    else:
        bend = 0.05 * noise(direction[0], direction[1], 3.0, 3.0)
        if style == "wavy":
            bend = bend + 0.07 * np.sin(9.0 * polar + 3.0 * np.sin(2.0 * azimuth))
        around = azimuth + bend
        strands = (
            0.8 * noise(around, polar, 9.0, 1.0)
            + 0.8 * noise(around, polar, 26.0, 2.0)
            + 0.7 * noise(around, polar, 70.0, 4.0)
        )
    ragged = noise(azimuth, polar, 60.0, 3.0) + noise(azimuth, polar, 25.0, 2.0) + 0.5 * strands
    edge = hair_reach(person, *direction) + 0.022 * ragged
    fluff = 0.16 if style in ("buzz", "receding") else 0.10
    cover = ramp(edge + 0.01, fluff)
    if style == "buzz":
        cover = cover * 0.82
    if style == "bald":
        cover = ramp(edge - 0.05, 0.3) * 0.10
    shade = np.clip(1.0 + 0.32 * strands, 0.25, 2.2)
    colours = np.array(person.hair, np.float32)[:, None] * shade
    if 0.1 < person.hair_grey < 0.9:
        mix(colours, (0.45, 0.44, 0.43), np.clip(0.5 * noise(azimuth + 1.0, polar, 40.0, 2.0) - 0.2, 0.0, 0.6))
    tangent = frame[2][:, None] - direction * up
    tangent /= norm(tangent) + 1e-4
    return cover, colours, tangent
