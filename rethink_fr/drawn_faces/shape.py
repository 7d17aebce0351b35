"""The shape of a drawn head: its surface, and where rays meet it.

The head frame has its origin in the middle of the head, between the heights of eyes and mouth; x is to the right of the
image, y down, and z out of the face. The eyes are about 1.22 units apart. The surface is a function of the direction
from the origin, `radius(direction)`. Directions have the stereographic coordinates `u = x / (|p| + z)` and
`v = y / (|p| + z)`. Features have positions `(s, t) = 3 (u, v)`, close to `(x, y)` seen from the front. Because this is
a chart of the surface, what is painted in it moves with the head.
"""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
from scipy import ndimage

from rethink_fr.drawn_faces.hair import hair_reach, hair_thickness
from rethink_fr.drawn_faces.layout import BROW_LENGTH, BROW_START, EYE_RISE, Layout
from rethink_fr.drawn_faces.noise import Vector, bilinear, norm
from rethink_fr.drawn_faces.person import Person
from rethink_fr.drawn_faces.shot import Shot

CHART_SCALE = 3.0
EYEBALL_RADIUS = 0.255
_REACH = 0.75  # tables cover |w| <= _REACH, w = u / (1 + |u|): directions up to 143 degrees away from +z

LANDMARK_NAMES: Tuple[str, ...] = (
    *("left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right"),
    *("left_brow_outer", "left_brow_middle", "left_brow_inner"),
    *("right_brow_inner", "right_brow_middle", "right_brow_outer"),
    *("left_eye_outer", "left_eye_upper", "left_eye_inner", "left_eye_lower"),
    *("right_eye_inner", "right_eye_upper", "right_eye_outer", "right_eye_lower"),
    *("nose_root", "nose_bridge", "nose_left", "nose_right", "nose_base"),
    *("upper_lip_left", "upper_lip_top", "upper_lip_right", "upper_lip_bottom"),
    *("lower_lip_top", "lower_lip_bottom", "chin"),
    *("jaw_left_high", "jaw_left_corner", "jaw_left_low", "jaw_right_low", "jaw_right_corner", "jaw_right_high"),
    *("left_pupil", "right_pupil"),
)


def _bumps(person: Person, shot: Shot, layout: Layout) -> np.ndarray:
    """The Gaussians that make the relief of the face, float32 [K, 5]: s, t, sigma s, sigma t, height."""
    happy, nose_t, nose_w = max(shot.smile, 0.0), layout.nose_tip_t, layout.nose_half_width
    tall, mouth_t, corner = person.nose_height, layout.mouth_t, layout.mouth_half_width
    age, full = person.age, person.fullness
    middle = [
        (0.0, -0.50, 0.10, 0.14, 0.07 * tall),
        (0.0, -0.28, 0.11, 0.14, (0.12 + person.nose_bump) * tall),
        (0.0, -0.08, 0.12, 0.13, 0.17 * tall),
        (0.0, nose_t - 0.01, 0.12 * person.nose_tip, 0.10, 0.27 * tall),
        (0.0, nose_t + 0.21, 0.15, 0.06, -0.03),
        (0.0, 0.46, 0.028, 0.07, -0.025),
        (0.0, mouth_t - 0.05, 0.40, 0.26, 0.09),
        (0.0, mouth_t - layout.gap_up - 0.6 * layout.lip_up, 0.55 * corner, 0.045, 0.045),
        (0.0, mouth_t, 0.8 * corner, 0.03, -0.05),
        (0.0, mouth_t + layout.gap_low + 0.5 * layout.lip_low, 0.5 * corner, 0.06, 0.055),
        (0.0, mouth_t + layout.gap_low + layout.lip_low + 0.10, 0.2, 0.055, -0.05),
        (0.0, layout.chin_t - 0.14, person.chin[0], 0.17, person.chin[1]),
        (0.0, -1.5, 0.6, 0.35, 0.04),
        (0.0, -0.80, 0.10, 0.10, -0.02),
    ]
    mirrored: List[Tuple[float, float, float, float, float]] = [
        (0.60, -0.60, 0.25, 0.15, -person.eye_depth),
        (0.30, -0.52, 0.10, 0.13, -0.10),
        (0.52, layout.brow_t[0] - 0.01, 0.30, 0.085, 0.035 + 0.06 * person.masculinity),
        (0.64 * person.eye_spacing, -0.60, 0.17, 0.115, 0.085),
        (nose_w * 0.80, nose_t + 0.05, 0.065, 0.065, 0.10),
        (nose_w * 1.45, nose_t + 0.04, 0.07, 0.10, -0.025),
        (0.085 * person.nose_width, nose_t + 0.105, 0.05, 0.035, -0.05),
        (0.88, -0.22, 0.26, 0.17, person.cheekbone),
        (0.70, 0.15 - 0.08 * happy, 0.22, 0.20, 0.05 + 0.08 * happy + 0.03 * full),
        (1.05, 0.55, 0.30, 0.32, -0.03 + 0.05 * full),
        (1.45, 0.85, 0.32, 0.28, person.jaw_corner),
        (1.40, -1.05, 0.30, 0.35, -0.03),
        (corner + 0.03, mouth_t - layout.mouth_lift, 0.06, 0.07, -0.035 - 0.02 * happy),
        (corner + 0.22, mouth_t + 0.08, 0.16, 0.20, 0.01 + 0.035 * happy + 0.03 * age),
        (0.60, -0.40, 0.20, 0.045, 0.01 + 0.03 * age),
        (0.58, -0.30, 0.20, 0.035, -0.01 - 0.03 * age),
        (0.30, mouth_t + 0.35, 0.08, 0.14, -0.03 * age),
    ]
    fold = 0.012 + 0.022 * age + 0.022 * happy
    for step in np.linspace(0.0, 1.0, 5):
        mirrored.append(
            (nose_w * 1.35 + (corner + 0.10 - nose_w * 1.35) * step**1.3, 0.14 + 0.46 * step, 0.045, 0.085, -0.8 * fold)
        )
    both = [(sign * s, *rest) for s, *rest in mirrored for sign in (-1.0, 1.0)]
    return np.array(middle + both, np.float32)


class HeadSurface:
    """Tables of `radius(direction)` and its slopes, of the skin and of the skin with hair, for one picture.

    Args:
        person, shot: who and what is drawn.
        layout: where the features are.
        resolution: number of samples on a side of the tables.
    """

    def __init__(self, person: Person, shot: Shot, layout: Layout, resolution: int) -> None:
        self.resolution = resolution
        w = np.linspace(-_REACH, _REACH, resolution, dtype=np.float32)
        u = w / (1.0 - np.abs(w))
        self._scale = (resolution - 1) / (2.0 * _REACH)
        square = u[:, None] ** 2 + u[None, :] ** 2  # [v, u]
        nz = (1.0 - square) / (1.0 + square)
        nx, ny = 2.0 * u[None, :] / (1.0 + square), 2.0 * u[:, None] / (1.0 + square)

        skin = self._skull(person, layout, nx, ny, nz)
        bumps = _bumps(person, shot, layout)
        chart = CHART_SCALE * u
        across = np.exp(-0.5 * ((chart[None, :] - bumps[:, 0:1]) / bumps[:, 2:3]) ** 2)  # [K, u]
        down = np.exp(-0.5 * ((chart[None, :] - bumps[:, 1:2]) / bumps[:, 3:4]) ** 2) * bumps[:, 4:5]  # [K, v]
        skin = skin + down.T @ across
        thickness = hair_thickness(person)
        total = skin
        if thickness > 0.0:
            depth = np.clip((hair_reach(person, nx, ny, nz) - 0.05) / 0.40, 0.0, 1.0)
            lump = 1.0 + 0.10 * np.sin(5.0 * nx + 7.0 * ny + person.texture_offset[0]) * np.cos(6.0 * nx - 4.0 * nz)
            top = 0.75 + 0.25 * np.clip(-ny, 0.0, 1.0)
            total = skin + thickness * depth * (2.0 - depth) * lump * top
        self.skin = skin.astype(np.float32)
        self.total = total.astype(np.float32)
        slope_v, slope_u = np.gradient(self.total, u, u)
        cavity = ndimage.uniform_filter(self.skin, max(3, resolution // 24)) - self.skin
        self._channels = tuple(np.ascontiguousarray(x, np.float32).ravel() for x in (slope_u, slope_v, cavity))
        self._flat_total = self.total.ravel()
        self._flat_skin = self.skin.ravel().astype(np.float64)
        self.reach = float(self.total.max())

    @staticmethod
    def _skull(person: Person, layout: Layout, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray) -> np.ndarray:
        # Exponents and half heights turn from the skull's to the jaw's around ny = 0, without a crease.
        lower = np.clip(ny / 0.7 + 0.5, 0.0, 1.0)
        lower = lower * lower * (3.0 - 2.0 * lower)
        half_width = np.float32(1.37 * person.head_width * (1.0 + 0.03 * person.fullness))
        chin = 1.70 * person.jaw_length + 0.22 * (layout.chin_t / 1.36 - person.jaw_length)
        skull = 2.42 * person.skull_height
        half_height = skull + (chin - skull) * lower
        power = 2.35 + (person.jaw_power - 2.35) * lower
        outer = 2.3 + 0.2 * lower
        half_depth = np.where(nz > 0, np.float32(1.60), np.float32(1.75))
        flat = (np.abs(nx) / half_width + 1e-6) ** power + (np.abs(ny) / half_height + 1e-6) ** power
        return (flat ** (outer / power) + np.abs(nz / half_depth) ** outer) ** (-1.0 / outer)

    def _corners(self, u: Vector, v: Vector) -> Tuple[np.ndarray, Vector, Vector]:
        """The index of the upper left of the four samples around, and the weights of the right and lower ones."""
        half, last = 0.5 * (self.resolution - 1), self.resolution - 1.001
        column = np.abs(u)
        column += 1.0
        np.divide(u, column, out=column)
        row = np.abs(v)
        row += 1.0
        np.divide(v, row, out=row)
        for place in (column, row):
            place *= self._scale
            place += half
            np.maximum(place, 0.0, out=place)
            np.minimum(place, last, out=place)
        whole_column, whole_row = column.astype(np.intp), row.astype(np.intp)
        column -= whole_column
        row -= whole_row
        whole_row *= self.resolution
        whole_row += whole_column
        return whole_row, column, row

    def _bilinear(self, flat: np.ndarray, corners: Tuple[np.ndarray, Vector, Vector]) -> Vector:
        return bilinear(flat, self.resolution, *corners)

    def clearance(self, x: Vector, y: Vector, z: Vector) -> Vector:
        """The radial distance of points from the surface with hair; negative inside."""
        length = np.sqrt(x * x + y * y + z * z)
        over = 1.0 / np.maximum(length + z, 1e-3)
        return length - self._bilinear(self._flat_total, self._corners(x * over, y * over))

    def cast(
        self, origin: np.ndarray, rays: np.ndarray, start: Vector, steps: int, settle: bool
    ) -> Tuple[Vector, Vector]:
        """March along rays from `origin + start * ray` to the surface.

        Rays that pass close by something may not have arrived after `steps`; `settle` more steps are for these.

        Returns:
            The distances, and the clearance that is left there.
        """
        distance = start.copy()
        dx, dy, dz = rays
        gap = start
        for _ in range(steps):
            gap = self.clearance(origin[0] + dx * distance, origin[1] + dy * distance, origin[2] + dz * distance)
            distance += 0.8 * gap
        late = np.flatnonzero(np.abs(gap) > 0.01) if settle else np.empty(0, np.intp)
        if late.size:
            dx, dy, dz, far = dx[late], dy[late], dz[late], distance[late]
            for _ in range(2 * steps):
                left = self.clearance(origin[0] + dx * far, origin[1] + dy * far, origin[2] + dz * far)
                far += 0.7 * left
            distance[late], gap[late] = far, left
        return distance, gap

    def describe(self, position: np.ndarray) -> Tuple[Vector, Vector, np.ndarray, Vector]:
        """For points [3, N] of the surface: u, v, unit normals [3, N], and how deep in a cavity they are."""
        x, y, z = position
        length = np.sqrt(x * x + y * y + z * z)
        over = 1.0 / np.maximum(length + z, 1e-3)
        u, v = x * over, y * over
        corners = self._corners(u, v)
        slope_u, slope_v, cavity = (self._bilinear(channel, corners) for channel in self._channels)
        inverse = 1.0 / length
        pull = (u * slope_u + v * slope_v) * over
        normal = np.stack(
            [
                x * inverse * (1.0 + pull) - slope_u * over,
                y * inverse * (1.0 + pull) - slope_v * over,
                z * inverse * (1.0 + pull) + pull,
            ]
        )
        normal /= norm(normal)
        return u, v, normal, cavity

    def point(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The points of the skin at chart positions, float64 [3, N], interpolated as for rays."""
        u, v = np.asarray(s, np.float64) / CHART_SCALE, np.asarray(t, np.float64) / CHART_SCALE
        radius = self._bilinear(self._flat_skin, self._corners(u, v))
        square = u * u + v * v
        return radius * np.stack([2.0 * u, 2.0 * v, 1.0 - square]) / (1.0 + square)


def eyeball(surface: HeadSurface, layout: Layout, eye: int) -> np.ndarray:
    """The centre of an eyeball, float64 [3]; its front is just behind the lids."""
    front = surface.point(np.array([layout.eye_s[eye]]), np.array([layout.eye_t[eye] - EYE_RISE]))[:, 0]
    inward = 0.03 * (1.0 if eye == 0 else -1.0)
    return front + np.array([inward, 0.0, 0.0]) - np.array([0.0, 0.0, EYEBALL_RADIUS - 0.02])


def gaze_direction(shot: Shot) -> np.ndarray:
    """The direction in which both eyes look, a unit vector in the head frame, float64 [3]."""
    direction = np.array([shot.gaze[0], shot.gaze[1] + 0.02, 1.0])
    return direction / np.linalg.norm(direction)


def landmark_points(surface: HeadSurface, layout: Layout, shot: Shot) -> np.ndarray:
    """The points named in `LANDMARK_NAMES`, in the head frame, float64 [3, L]."""
    one = np.ones(1)
    chart: List[Tuple[float, float]] = []

    def add(s: float, t: np.ndarray | float) -> None:
        chart.append((s, float(np.ravel(t)[0])))

    def eye_points(eye: int, names: str) -> None:
        outer = -1.0 if eye == 0 else 1.0
        for name in names:
            outward = {"o": 1.0, "i": -1.0}.get(name, 0.0)
            upper, lower = layout.lids(eye, one * outward)
            add(layout.eye_s[eye] + outer * outward * layout.eye_half_width, lower if name == "l" else upper)

    for eye in (0, 1):
        add(layout.eye_s[eye], layout.eye_t[eye] - EYE_RISE)
    add(0.0, layout.nose_tip_t)
    width = layout.mouth_half_width
    for across in (-1.0, 1.0):
        add(across * width, layout.mouth(one * across)[1])
    for eye, alongs in ((0, (1.0, 0.5, 0.0)), (1, (0.0, 0.5, 1.0))):
        for along in alongs:
            add((-1.0 if eye == 0 else 1.0) * (BROW_START + BROW_LENGTH * along), layout.brow(eye, one * along))
    eye_points(0, "ouil")
    eye_points(1, "iuol")
    add(0.0, -0.58)
    add(0.0, -0.22)
    add(-layout.nose_half_width, layout.nose_tip_t + 0.05)
    add(layout.nose_half_width, layout.nose_tip_t + 0.05)
    add(0.0, layout.nose_tip_t + 0.16)
    for across in (-0.3, 0.0, 0.3):
        add(across * width, layout.mouth(one * across)[0])
    top, upper, lower, bottom = layout.mouth(0.0 * one)
    add(0.0, upper)
    add(0.0, lower)
    add(0.0, bottom)
    add(0.0, layout.chin_t)
    stretch = layout.chin_t / 1.36
    for s, t in ((-2.2, 0.0), (-1.9, 0.62 * stretch), (-1.0, 1.20 * stretch)):
        add(s, t)
    for s, t in ((1.0, 1.20 * stretch), (1.9, 0.62 * stretch), (2.2, 0.0)):
        add(s, t)
    skin = surface.point(*np.array(chart).T)
    gaze = gaze_direction(shot)
    pupils = np.stack([eyeball(surface, layout, eye) + EYEBALL_RADIUS * gaze for eye in (0, 1)], axis=1)
    return np.concatenate([skin, pupils], axis=1)
