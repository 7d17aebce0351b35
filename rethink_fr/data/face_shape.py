"""The shape of a drawn head: where its features lie, the surface they make, and how a ray meets it.

Head frame: origin in the middle of the head at the height between eyes and mouth; x to the image's right, y down, z out
of the face; the eyes are about 1.22 units apart. The surface is star-shaped, `radius(direction)`, and directions are
charted stereographically about +z: `u = x / (|p| + z)`, `v = y / (|p| + z)`. Features are laid out in `(s, t) = 3 (u, v)`,
which is close to the frontal `(x, y)`; being a chart of the surface, it moves the paint with the pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np
from scipy import ndimage

from rethink_fr.data.face_traits import Person, Shot

Vector = np.ndarray  # float32 [N] unless said otherwise

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


@dataclass(frozen=True)
class Layout:
    """Chart positions of the features of one person in one picture; eyes and brows are listed image left first."""

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
        """t of the upper and lower lid's edge at `outward`: -1 inner corner, 1 outer corner."""
        arc = np.maximum(1.0 - outward * outward, 0.0)
        base = self.eye_t[eye] - self.eye_cant * self.eye_half_width * outward
        return base - self.lid_up[eye] * arc * (1.06 - 0.16 * outward), base + self.lid_low[eye] * arc * (
            1 + 0.2 * outward
        )

    def brow(self, eye: int, along: Vector) -> Vector:
        """t of the brow's middle line at `along`: 0 inner end, 1 outer end."""
        arch = 4.0 * along * (1.0 - along) + 0.5 * along * along * (1.0 - along)
        inner = self.brow_knit * np.maximum(1.0 - 2.0 * along, 0.0)
        return self.brow_t[eye] - self.brow_arch * arch - self.brow_slope * (along - 0.5) + 0.07 * along**3 + inner

    def mouth(self, across: Vector) -> Tuple[Vector, Vector, Vector, Vector]:
        """t of: top of the upper lip, its lower edge, the lower lip's edge, its bottom; `across` is -1..1."""
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
    """Positions of this person's features under this picture's expression."""
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
        nose_tip_t=0.13 * person.nose_length,
        nose_half_width=0.235 * person.nose_width * (1.0 + 0.08 * happy),
        mouth_t=mouth_t,
        mouth_half_width=person.mouth_width * (1.0 + 0.20 * smile - 0.08 * jaw - 0.3 * shot.pucker),
        mouth_lift=0.11 * smile,
        mouth_tilt=person.asymmetry[2],
        lip_up=up * (1.0 - 0.22 * happy + 0.4 * shot.pucker),
        lip_low=low * (1.0 - 0.15 * happy + 0.4 * shot.pucker),
        cupid=person.cupid * (1.0 - 0.5 * happy),
        gap_up=0.055 * min(jaw * 3.0, 1.0) * (0.4 + happy),
        gap_low=0.36 * jaw,
        chin_t=1.36 * person.jaw_length + 0.24 * jaw,
    )


def _bumps(person: Person, shot: Shot, layout: Layout) -> np.ndarray:
    """float32 [K, 5]: s, t, sigma s, sigma t, height of every Gaussian that makes the relief of the face."""
    happy, nose_t, nose_w = max(shot.smile, 0.0), layout.nose_tip_t, layout.nose_half_width
    tall, mouth_t, corner = person.nose_height, layout.mouth_t, layout.mouth_half_width
    age, full = person.age, person.fullness
    middle = [
        (0.0, -0.50, 0.10, 0.14, 0.07 * tall),
        (0.0, -0.28, 0.10, 0.13, (0.12 + person.nose_bump) * tall),
        (0.0, -0.08, 0.115, 0.12, 0.20 * tall),
        (0.0, nose_t - 0.02, 0.13 * person.nose_tip, 0.105, 0.30 * tall),
        (0.0, nose_t + 0.20, 0.16, 0.06, -0.05),
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
        (nose_w * 0.80, nose_t + 0.045, 0.075, 0.075, 0.12),
        (nose_w * 1.45, nose_t + 0.04, 0.07, 0.10, -0.05),
        (0.085 * person.nose_width, nose_t + 0.105, 0.05, 0.035, -0.05),
        (0.88, -0.22, 0.26, 0.17, person.cheekbone),
        (0.70, 0.15 - 0.08 * happy, 0.22, 0.20, 0.05 + 0.08 * happy + 0.03 * full),
        (1.05, 0.55, 0.30, 0.32, -0.03 + 0.07 * full),
        (1.45, 0.85, 0.32, 0.28, person.jaw_corner),
        (1.40, -1.05, 0.30, 0.35, -0.06),
        (corner + 0.03, mouth_t - layout.mouth_lift, 0.06, 0.07, -0.035 - 0.02 * happy),
        (corner + 0.22, mouth_t + 0.08, 0.16, 0.20, 0.02 + 0.05 * happy + 0.03 * age),
        (0.60, -0.40, 0.20, 0.045, 0.01 + 0.03 * age),
        (0.58, -0.30, 0.20, 0.035, -0.01 - 0.03 * age),
        (0.30, mouth_t + 0.35, 0.08, 0.14, -0.03 * age),
    ]
    fold = 0.012 + 0.022 * age + 0.022 * happy
    for step in np.linspace(0.0, 1.0, 5):
        mirrored.append(
            (nose_w * 1.35 + (corner + 0.10 - nose_w * 1.35) * step**1.3, 0.14 + 0.46 * step, 0.04, 0.06, -fold)
        )
    both = [(sign * s, *rest) for s, *rest in mirrored for sign in (-1.0, 1.0)]
    return np.array(middle + both, np.float32)


def hair_reach(person: Person, nx: Vector, ny: Vector, nz: Vector) -> Vector:
    """How far inside the hair a direction lies: positive in the hair, 0 at its edge, about 1 at the crown."""
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
    """Height of the hair over the skull far from its edge, head units."""
    base = {"bald": 0.0, "buzz": 0.03, "receding": 0.10, "short": 0.20, "parted": 0.24, "curly": 0.42, "wavy": 0.30}
    return base.get(person.hair_style, 0.23) * (0.5 + 0.5 * person.hair_volume)


class HeadSurface:
    """Table of `radius(direction)` of skin and of skin + hair, with slopes, for one person in one picture.

    Args:
        resolution: samples along a side of the table.
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
            depth = np.clip(hair_reach(person, nx, ny, nz) / 0.40 + 0.05, 0.0, 1.0)
            lump = 1.0 + 0.10 * np.sin(5.0 * nx + 7.0 * ny + person.texture_offset[0]) * np.cos(6.0 * nx - 4.0 * nz)
            top = 0.75 + 0.25 * np.clip(-ny, 0.0, 1.0)
            total = skin + thickness * depth * (2.0 - depth) * lump * top
        self.skin = skin.astype(np.float32)
        self.total = total.astype(np.float32)
        slope_v, slope_u = np.gradient(self.total, u, u)
        cavity = ndimage.uniform_filter(self.skin, max(3, resolution // 24)) - self.skin
        self._channels = tuple(np.ascontiguousarray(x, np.float32).ravel() for x in (slope_u, slope_v, cavity))
        self._flat_total = self.total.ravel()
        self.reach = float(self.total.max())

    @staticmethod
    def _skull(person: Person, layout: Layout, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray) -> np.ndarray:
        # Exponents and half heights turn from the skull's to the jaw's around ny = 0, without a crease.
        lower = np.clip(ny / 0.7 + 0.5, 0.0, 1.0)
        lower = lower * lower * (3.0 - 2.0 * lower)
        half_width = np.float32(1.37 * person.head_width * (1.0 + 0.03 * person.fullness))
        chin = 1.60 * person.jaw_length + 0.22 * (layout.chin_t / 1.36 - person.jaw_length)
        skull = 2.42 * person.skull_height
        half_height = skull + (chin - skull) * lower
        power = 2.5 + (person.jaw_power - 2.5) * lower
        outer = 2.3 + 0.2 * lower
        half_depth = np.where(nz > 0, np.float32(1.60), np.float32(1.75))
        flat = (np.abs(nx) / half_width + 1e-6) ** power + (np.abs(ny) / half_height + 1e-6) ** power
        return (flat ** (outer / power) + np.abs(nz / half_depth) ** outer) ** (-1.0 / outer)

    def _corners(self, u: Vector, v: Vector) -> Tuple[np.ndarray, Vector, Vector]:
        """Index of the upper left of the four table samples around chart positions, and the weights of right and lower."""
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
        index, right, below = corners
        top = flat.take(index)
        side = flat[1:].take(index)
        side -= top
        side *= right
        top += side
        bottom = flat[self.resolution :].take(index)
        side = flat[self.resolution + 1 :].take(index)
        side -= bottom
        side *= right
        bottom += side
        bottom -= top
        bottom *= below
        top += bottom
        return top

    def clearance(self, x: Vector, y: Vector, z: Vector) -> Vector:
        """Radial distance of points to the surface with hair, negative inside."""
        length = np.sqrt(x * x + y * y + z * z)
        over = 1.0 / np.maximum(length + z, 1e-3)
        return length - self._bilinear(self._flat_total, self._corners(x * over, y * over))

    def cast(
        self, origin: np.ndarray, rays: Tuple[Vector, Vector, Vector], start: Vector, steps: int
    ) -> Tuple[Vector, Vector]:
        """March from `origin + start * ray` to the surface; returns distances and the clearance left there."""
        distance = start.copy()
        dx, dy, dz = rays
        gap = start
        for _ in range(steps):
            gap = self.clearance(origin[0] + dx * distance, origin[1] + dy * distance, origin[2] + dz * distance)
            distance += 0.8 * gap
        late = np.flatnonzero(np.abs(gap) > 0.01)
        if late.size:  # rays that graze something before they arrive, or never do
            dx, dy, dz, far = dx[late], dy[late], dz[late], distance[late]
            for _ in range(2 * steps):
                left = self.clearance(origin[0] + dx * far, origin[1] + dy * far, origin[2] + dz * far)
                far += 0.7 * left
            distance[late], gap[late] = far, left
        return distance, gap

    def describe(self, x: Vector, y: Vector, z: Vector) -> Tuple[Vector, Vector, np.ndarray, Vector]:
        """Of surface points: chart u and v, unit normals [3, N], and how far they lie in a cavity (head units)."""
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
        normal /= np.sqrt(np.sum(normal * normal, axis=0))
        return u, v, normal, cavity

    def point(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """float64 [3, N]: the skin's points at chart positions, bilinear in the table as the rays see it."""
        u, v = np.asarray(s, np.float64) / CHART_SCALE, np.asarray(t, np.float64) / CHART_SCALE
        radius = self._bilinear(self.skin.ravel().astype(np.float64), self._corners(u, v))
        square = u * u + v * v
        return radius * np.stack([2.0 * u, 2.0 * v, 1.0 - square]) / (1.0 + square)


def eyeball(surface: HeadSurface, layout: Layout, eye: int) -> np.ndarray:
    """float64 [3]: centre of an eyeball whose front lies just behind the lids."""
    front = surface.point(np.array([layout.eye_s[eye]]), np.array([layout.eye_t[eye]]))[:, 0]
    inward = 0.03 * (1.0 if eye == 0 else -1.0)
    return front + np.array([inward, 0.0, 0.0]) - np.array([0.0, 0.0, EYEBALL_RADIUS - 0.02])


def gaze_direction(shot: Shot) -> np.ndarray:
    """float64 [3], unit: where both eyes look, head frame."""
    direction = np.array([shot.gaze[0], shot.gaze[1] + 0.02, 1.0])
    return direction / np.linalg.norm(direction)


def landmark_points(surface: HeadSurface, layout: Layout, shot: Shot) -> np.ndarray:
    """float64 [3, L]: the points named in `LANDMARK_NAMES`, head frame."""
    one = np.ones(1)
    chart: List[Tuple[float, float]] = []

    def add(s: float, t: "np.ndarray | float") -> None:
        chart.append((s, float(np.ravel(t)[0])))

    def eye_points(eye: int, names: str) -> None:
        outer = -1.0 if eye == 0 else 1.0
        for name in names:
            outward = {"o": 1.0, "i": -1.0}.get(name, 0.0)
            upper, lower = layout.lids(eye, one * outward)
            add(layout.eye_s[eye] + outer * outward * layout.eye_half_width, lower if name == "l" else upper)

    for eye in (0, 1):
        add(layout.eye_s[eye], layout.eye_t[eye])
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


BROW_START = 0.24
BROW_LENGTH = 0.86
