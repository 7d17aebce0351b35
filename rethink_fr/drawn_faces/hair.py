"""The hair of a drawn head: where it grows, how thick it is, and its colours.

Functions take float32 vectors of N points, and directions in the head frame (see `shape.py`).
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.noise import Noise, Vector, mix, norm, ramp
from rethink_fr.drawn_faces.person import Person


def hair_reach(person: Person, nx: Vector, ny: Vector, nz: Vector) -> Vector:
    """How far inside the hair each direction is: positive in the hair, 0 at its edge, about 1 at the crown."""
    side = np.abs(nx)
    reach = 1.086 * -ny - nz + 0.476 * nx * nx - 0.46 - person.hair_line
    style = person.hair_style
    if style == "receding":
        reach = np.minimum(reach, 0.75 + ny + 0.35 * np.maximum(-nz, 0.0))
    elif person.masculinity > 0.5:
        reach = reach - 0.16 * np.exp(-(((side - 0.42) / 0.16) ** 2)) * (ny < 0)
    if style in ("bob", "long", "wavy", "fringe"):
        reach = np.maximum(reach, (side - 0.80) * 2.6 - 0.6 * np.maximum(nz - 0.3, 0.0))
    if style == "fringe":
        reach = np.maximum(reach, np.minimum((-ny - 0.56) * 2.0, (1.02 - side) * 2.0))
    if style in ("parted", "bob") and abs(person.hair_part) > 0.35:
        sweep = np.sign(person.hair_part) * nx
        reach = reach + 0.30 * np.exp(-(((sweep - 0.32) / 0.25) ** 2)) * np.clip(-ny * 2.0 - 0.9, 0.0, 1.0)
    return reach


def hair_thickness(person: Person) -> float:
    """How high the hair is over the skull, far from its edge, in head units."""
    base = {"bald": 0.0, "buzz": 0.03, "receding": 0.10, "short": 0.27, "parted": 0.34, "curly": 0.50, "wavy": 0.42}
    return base.get(person.hair_style, 0.32) * (0.5 + 0.5 * person.hair_volume)


def strand_frame(person: Person) -> np.ndarray:
    """The point where the hair starts and two directions around it: float32 [3, 3], the point in the last row."""
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


def hair_colours(person: Person, direction: np.ndarray, noise: Noise) -> Tuple[Vector, np.ndarray, np.ndarray]:
    """Cover `[N]`, colours `[3, N]` and directions of the strands `[3, N]`, for points in the directions [3, N]."""
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
