"""What is around a drawn face: the camera, the background and the glasses.

In the camera frame x is to the right of the image, y down, and z towards the camera, which is `CAMERA_DISTANCE` head
units in front of the origin of the head. The picture plane goes through this origin. Colours are linear light, float32
`[3, N]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.noise import norm, put, ramp
from rethink_fr.drawn_faces.person import Person, generator
from rethink_fr.drawn_faces.shot import Shot

CAMERA_DISTANCE = 11.0
# Half width and half height (in head units) and exponent of the outline of a lens.
_LENSES = {"round": (0.42, 0.42, 2.0), "square": (0.50, 0.36, 5.0), "oval": (0.49, 0.33, 2.5)}


@dataclass(frozen=True)
class View:
    """Where the picture is on its plane: `corner + matrix @ (x, y)`, with x, y of 0 to 1 over the picture."""

    rotation: np.ndarray  # float64 [3, 3], head frame -> camera frame
    corner: np.ndarray  # float64 [2]
    matrix: np.ndarray  # float64 [2, 2]

    @property
    def side(self) -> float:
        """Side of the picture on its plane, in head units."""
        return float(np.hypot(*self.matrix[:, 0]))


def head_rotation(shot: Shot) -> np.ndarray:
    """The rotation from the head frame to the camera frame, float64 [3, 3]: pitch first, then yaw."""
    cos_yaw, sin_yaw = np.cos(shot.yaw), np.sin(shot.yaw)
    cos_pitch, sin_pitch = np.cos(shot.pitch), np.sin(shot.pitch)
    yaw = np.array([[cos_yaw, 0.0, sin_yaw], [0.0, 1.0, 0.0], [-sin_yaw, 0.0, cos_yaw]])
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cos_pitch, sin_pitch], [0.0, -sin_pitch, cos_pitch]])
    return yaw @ pitch


def project(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The positions on the picture plane, float64 [2, N], of points [3, N] in the head frame."""
    seen = rotation @ points
    return seen[:2] * (CAMERA_DISTANCE / (CAMERA_DISTANCE - seen[2]))


def picture_rays(view: View, rows: np.ndarray, side: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For whole rows of pixels: camera and unit rays [3, N] in the head frame, and picture plane positions [2, N]."""
    x = ((np.arange(side) + 0.5) / side).astype(np.float32)
    y = ((rows + 0.5) / side).astype(np.float32)
    m, corner = view.matrix.astype(np.float32), view.corner.astype(np.float32)
    plane = np.empty((2, rows.size, side), np.float32)
    for axis in (0, 1):
        plane[axis] = corner[axis] + m[axis, 0] * x[None, :] + m[axis, 1] * y[:, None]
    plane = plane.reshape(2, -1)
    to_head = view.rotation.T.astype(np.float32)
    rays = to_head[:, :2] @ plane - np.float32(CAMERA_DISTANCE) * to_head[:, 2:3]
    rays /= norm(rays)
    return np.float32(CAMERA_DISTANCE) * to_head[:, 2], rays, plane


def background(shot: Shot, plane: np.ndarray) -> np.ndarray:
    """The background, out of focus, at positions [2, N] on the picture plane; float32 [3, N]."""
    rng = generator(7004, shot.background_seed)
    first, second, third = (np.array(colour, np.float32)[:, None] for colour in shot.background_colours)
    x, y = plane[0] * 0.4, plane[1] * 0.4
    angle = rng.uniform(0.0, np.pi)
    slope = ramp(0.5 + 0.45 * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))), 1.0)
    out = first + (second - first) * slope
    if shot.background == "studio":
        glow = np.exp(-((x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.6, 0.2)) ** 2) * 1.2)
        out = out + third * (0.8 * glow)
    elif shot.background == "bokeh":
        for _ in range(9):
            radius = rng.uniform(0.08, 0.3)
            away = np.sqrt((x - rng.uniform(-1.1, 1.1)) ** 2 + (y - rng.uniform(-1.2, 1.0)) ** 2)
            colour = (third * np.float32(rng.uniform(0.5, 2.5))) * rng.uniform(0.5, 1.3, (3, 1)).astype(np.float32)
            out = out + (colour - out) * (ramp(radius - away, 0.04) * rng.uniform(0.2, 0.8))
    elif shot.background == "outdoor":
        horizon = rng.uniform(-0.5, 0.5)
        sky = np.array([0.45, 0.62, 0.85], np.float32)[:, None] * np.float32(rng.uniform(0.5, 1.5))
        out = out * 0.5 + np.array([0.05, 0.10, 0.03], np.float32)[:, None]
        out = out + (sky - out) * ramp(horizon - y + 0.15 * np.sin(4.0 * x + 9.0 * angle), 0.3)
    elif shot.background == "shelves":
        width, shift = rng.uniform(0.10, 0.35), rng.uniform(0.0, 9.0)
        bars = np.sin((x + shift) * (3.1 / width)) + 0.6 * np.sin(
            (x + shift) * (1.27 / width) + 2.0 * np.sin(y * 3.3 + shift)
        )
        out = out + (third - out) * ramp(bars + 0.4, 1.3)
        out = out * (0.35 + 0.65 * ramp(np.abs(np.sin(y * 3.3 + shift)) - 0.03, 0.4))
    return out.astype(np.float32, copy=False)


class Glasses:
    """Glasses: rims and bridge in an upright plane in front of the eyes, side pieces in two others.

    Args:
        person, shot: who and what is drawn.
        light: unit vector towards the key light in the head frame, float32 [3].
        plane_z: z of the plane of the rims, in head units.
        centre_y: y of the middle of the lenses, in head units.
    """

    def __init__(self, person: Person, shot: Shot, light: np.ndarray, plane_z: float, centre_y: float) -> None:
        self.person, self.shot, self.light = person, shot, light
        self.plane_z, self.centre_y = plane_z, centre_y

    def _frame_cover(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How much rims and bridge cover at positions on their plane, float32 [N]."""
        size, thick = self.person.glasses_size
        style = self.person.glasses_style
        spread = 0.62 * self.person.eye_spacing
        side = np.abs(x)
        wide, high, power = _LENSES[style]
        reach = (
            np.abs((side - spread) / (wide * size)) ** power + np.abs((y - self.centre_y) / (high * size)) ** power
        ) ** (1.0 / power)
        rim = ramp(thick - np.abs(reach - 1.0) * (high * size), 0.012)
        bridge = ramp(thick * 0.8 - np.abs(y - self.centre_y + 0.10 - 0.5 * x * x), 0.012) * (
            side < spread - wide * size + 0.02
        )
        return np.maximum(rim, bridge)

    def _towards_light_at_glasses(self, point: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """x and y where the way from points to the key light crosses the plane of the rims; far away if nowhere."""
        step = (self.plane_z - point[2]) / max(float(self.light[2]), 0.05)
        far = np.where(step > 0.0, 0.0, 50.0)
        return point[0] + self.light[0] * step + far, point[1] + self.light[1] * step

    def draw(self, origin: np.ndarray, rays: np.ndarray, nearest: np.ndarray, colours: np.ndarray) -> None:
        """Draw rims and side pieces over `colours`, except where `nearest` is nearer."""
        distance = (self.plane_z - origin[2]) / np.minimum(rays[2], -1e-3)
        x, y = origin[0] + rays[0] * distance, origin[1] + rays[1] * distance
        chosen = np.flatnonzero((np.abs(x) < 1.35) & (np.abs(y - self.centre_y) < 0.6) & (distance < nearest))
        tint = np.array(self.person.glasses_colour, np.float32)[:, None]
        light = np.array(self.shot.light_colour, np.float32)[:, None] + np.array(self.shot.sky, np.float32)[:, None]
        if chosen.size:
            cover = self._frame_cover(x[chosen], y[chosen])
            sheen = 0.05 + 0.10 * ramp(np.sin(7.0 * x[chosen] + 11.0 * y[chosen]) - 0.6, 0.4)
            seen = colours.take(chosen, axis=1)
            put(colours, chosen, seen + ((tint + sheen * 0.4) * light - seen) * cover)
        self._side_pieces(origin, rays, nearest, colours, tint * light)

    def _side_pieces(
        self, origin: np.ndarray, rays: np.ndarray, nearest: np.ndarray, colours: np.ndarray, tint: np.ndarray
    ) -> None:
        """Draw the bars from the rims to the ears: strips in two upright planes that widen towards the ears."""
        person = self.person
        edge = 0.62 * person.eye_spacing + _LENSES[person.glasses_style][0] * person.glasses_size[0]
        widening = (1.40 * person.head_width - edge) / self.plane_z
        for side in (-1.0, 1.0):
            slope = side * rays[0] + widening * rays[2]
            reach = edge + widening * (self.plane_z - origin[2]) - side * origin[0]
            distance = reach / np.where(np.abs(slope) < 1e-4, 1e-4, slope)
            y, z = origin[1] + rays[1] * distance, origin[2] + rays[2] * distance
            level = np.abs(y - self.centre_y + 0.10) < 0.02 + 0.5 * person.glasses_size[1]
            shown = level & (z < self.plane_z) & (z > 0.0) & (distance < nearest) & (distance > 0.0)
            colours[:, shown] = 0.8 * tint

    def shade(self, point: np.ndarray) -> np.ndarray:
        """The share of the key light that the rims hide from points [3, N], 0 to 1, float32 [N]."""
        return self._frame_cover(*self._towards_light_at_glasses(point))
