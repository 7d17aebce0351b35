"""Colours of a drawn head: skin, lips, brows, lashes, beard, eyes, mouth and hair as functions of surface position.

Every function takes float32 vectors of N surface points and works on colours `[3, N]`, linear-light reflectances.
Patterns come from one fixed lattice of noise, looked up in surface coordinates, so they stay on the skin when the head
turns and are the same at every resolution; what is finer than a pixel is faded out, not sampled.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from scipy import ndimage

from rethink_fr.data.face_shape import BROW_LENGTH, BROW_START, EYEBALL_RADIUS, Layout, Vector, hair_reach
from rethink_fr.data.face_traits import Person, generator

_LATTICE = 256


def _make_noise() -> np.ndarray:
    white = ndimage.gaussian_filter(generator(7003).normal(size=(_LATTICE, _LATTICE)), 0.7, mode="wrap")
    return np.clip(white / white.std(), -2.5, 2.5).astype(np.float32).ravel()


_NOISE = _make_noise()


class Noise:
    """Smooth noise of unit deviation in surface coordinates.

    Args:
        pixel: size of an output pixel on the head, head units; finer patterns are faded out.
        offset: where in the lattice this person's patterns lie.
    """

    def __init__(self, pixel: float, offset: Tuple[float, float]) -> None:
        self.pixel = pixel
        self.offset = offset

    def __call__(self, x: Vector, y: Vector, cells_x: float, cells_y: float) -> "Vector | float":
        """Noise with that many lattice cells per unit of x and of y; 0 if a cell is far below a pixel."""
        fade = float(np.clip(2.0 - max(cells_x, cells_y) * self.pixel, 0.0, 1.0))
        if fade == 0.0:
            return 0.0
        column, row = x * cells_x + (self.offset[0] + cells_x), y * cells_y + (self.offset[1] + 3.0 * cells_y)
        floor_column, floor_row = np.floor(column), np.floor(row)
        right, below = column - floor_column, row - floor_row
        left_index = floor_column.astype(np.int32) & (_LATTICE - 1)
        right_index = (left_index + 1) & (_LATTICE - 1)
        top_index = (floor_row.astype(np.int32) & (_LATTICE - 1)) * _LATTICE
        bottom_index = (top_index + _LATTICE) & (_LATTICE * _LATTICE - 1)
        top = _NOISE[top_index + left_index]
        top += (_NOISE[top_index + right_index] - top) * right
        bottom = _NOISE[bottom_index + left_index]
        bottom += (_NOISE[bottom_index + right_index] - bottom) * right
        return (top + (bottom - top) * below) * fade


def ramp(value: Vector, width: float) -> Vector:
    """0 below 0, 1 above `width`, smooth between."""
    step = np.clip(value * (1.0 / width), 0.0, 1.0)
    return step * step * (3.0 - 2.0 * step)


def _bell(value: Vector, width: float) -> Vector:
    scaled = value * (1.0 / width)
    return np.exp(-scaled * scaled)


def _mix(colours: np.ndarray, target: "np.ndarray | Tuple[float, float, float]", weight: Vector) -> None:
    """Blend `colours` towards `target` in place."""
    wanted = np.asarray(target, np.float32)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    colours += (wanted - colours) * weight


def skin(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise) -> Tuple[np.ndarray, Vector]:
    """Colours `[3, N]` and gloss `[N]` of the face's skin with lips, brows, lashes, beard, marks and wrinkles."""
    side = np.abs(s)
    tone = 1.0 + 0.045 * noise(s, t, 3.0, 3.0) + 0.035 * noise(s, t, 11.0, 11.0) + 0.045 * noise(s, t, 55.0, 55.0)
    colours = np.array(person.skin, np.float32)[:, None] * tone
    nose_t = layout.nose_tip_t
    flush = _bell(side - 0.80, 0.35) * _bell(t - 0.10, 0.30) + 0.8 * _bell(side, 0.22) * _bell(t - nose_t, 0.16)
    flush *= person.redness * (0.8 + 0.2 * noise(s, t, 6.0, 6.0))
    colours *= 1.0 + np.array([0.04, -0.20, -0.16], np.float32)[:, None] * flush
    tired = _bell(side - 0.58, 0.28) * _bell(t + 0.40, 0.10) * (0.10 + 0.16 * person.age)
    colours *= 1.0 - np.array([0.8, 1.0, 0.75], np.float32)[:, None] * tired
    if person.freckles > 0:
        spots = np.clip(noise(s, t, 24.0, 24.0) - 0.9, 0.0, 1.0) * _bell(t + 0.05, 0.45) * _bell(side - 0.4, 0.7)
        colours *= 1.0 - np.array([0.35, 0.5, 0.55], np.float32)[:, None] * (person.freckles * spots)
    for mole_s, mole_t, radius in person.moles:
        _mix(colours, (0.08, 0.035, 0.02), 0.75 * _bell(np.hypot(s - mole_s, t - mole_t), radius) ** 2)
    colours *= 1.0 - _wrinkles(person, layout, s, t, noise)
    gloss = person.gloss * (0.55 + 0.45 * _bell(side, 0.45) * np.clip(1.0 - t, 0.0, 1.0)) * (1.0 + 0.2 * noise(s, t, 70.0, 70.0))
    nostril = _bell(side - 0.105 * person.nose_width, 0.055) * _bell(t - nose_t - 0.115, 0.035)
    colours *= 1.0 - 0.92 * np.minimum(nostril * 1.3, 1.0)
    _beard(person, layout, s, t, noise, colours, gloss)
    _lips(person, layout, s, t, noise, colours, gloss)
    for eye, sign in ((0, -1.0), (1, 1.0)):
        _brow(person, layout, eye, sign * s, t, noise, colours)
        _lids(person, layout, eye, sign * (s - layout.eye_s[eye]) / layout.eye_half_width, t, noise, colours)
    return colours, gloss


def _wrinkles(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise) -> Vector:
    """How much darker furrows make the skin: forehead, outside of the eyes, beside the mouth."""
    side, age = np.abs(s), person.age
    waves = 0.025 * noise(s, t, 2.0, 0.5)
    rise = max(0.0, (layout.eye_t[0] - layout.brow_t[0]) - person.brow_shape[0]) * 4.0
    forehead = sum(_bell(t + height + waves + 0.03 * s * s, 0.014) for height in (1.22, 1.36, 1.50))
    dark = forehead * ramp(0.85 - side, 0.4) * (0.28 * max(age - 0.3, 0.0) + 0.30 * rise)
    far = side - layout.eye_s[1] - layout.eye_half_width
    rays = sum(_bell(t + 0.62 - slope * far + 0.4 * waves, 0.012) for slope in (-0.45, 0.0, 0.5))
    smile = max(layout.mouth_lift, 0.0) * 9.0
    dark += rays * ramp(far - 0.06, 0.05) * ramp(0.36 - far, 0.15) * 0.25 * max(age - 0.25 + 0.2 * smile, 0.0)
    along = np.clip((t - 0.12) / 0.55, 0.0, 1.0)
    start, end = layout.nose_half_width * 1.30, layout.mouth_half_width + 0.11
    fold = _bell(side - start - (end - start) * along**1.3, 0.022) * ramp(t - 0.10, 0.1) * ramp(0.72 - t, 0.15)
    dark += fold * (0.05 + 0.22 * age + 0.12 * smile)
    knit = _bell(side - 0.085, 0.016) * ramp(t + 1.05, 0.08) * ramp(-0.78 - t, 0.08)
    return np.minimum(dark + knit * (5.0 * layout.brow_knit + 0.2 * max(age - 0.5, 0.0)), 0.8)


def _lips(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise, colours: np.ndarray, gloss: Vector) -> None:
    chosen = np.flatnonzero((np.abs(s) < layout.mouth_half_width + 0.08) & (np.abs(t - layout.mouth_t - 0.1) < 0.55))
    if chosen.size == 0:
        return
    s, t, part = s[chosen], t[chosen], colours[:, chosen]
    across = s / layout.mouth_half_width
    top, upper, lower, bottom = layout.mouth(across)
    inside = ramp(1.0 - np.abs(across), 0.08)
    lips = ramp(t - top + 0.012, 0.03) * ramp(bottom - t + 0.012, 0.03) * inside
    lines = 1.0 + 0.10 * noise(s, t, 30.0, 5.0) + 0.05 * noise(s, t, 9.0, 3.0)
    tint = np.array(person.lip, np.float32)[:, None] * lines * np.where(t < upper, 0.86, 1.0)
    part += (tint - part) * (0.9 * lips)
    seam = (_bell(t - upper, 0.016) + _bell(t - lower, 0.016)) * ramp(1.04 - np.abs(across), 0.06)
    part *= 1.0 - 0.55 * np.minimum(seam, 1.0)
    colours[:, chosen] = part
    gloss[chosen] += lips * 0.5 * (1.0 - 0.6 * person.masculinity)


def _brow(person: Person, layout: Layout, eye: int, outward: Vector, t: Vector, noise: Noise, colours: np.ndarray) -> None:
    chosen = np.flatnonzero((np.abs(outward - 0.66) < 0.56) & (np.abs(t - layout.brow_t[eye]) < 0.34))
    if chosen.size == 0:
        return
    outward, t = outward[chosen], t[chosen]
    along = (outward - BROW_START) / BROW_LENGTH
    thick = person.brow_shape[1] * (1.0 - 0.55 * np.clip(along, 0.0, 1.0) ** 2)
    away = (t - layout.brow(eye, along)) / thick
    cover = ramp(1.35 - np.abs(away), 0.8) * ramp(along + 0.02, 0.16) * ramp(1.03 - along, 0.25)
    strands = noise(t + 0.55 * outward, outward - 0.3 * t, 42.0, 9.0) + 0.6 * noise(t + 0.9 * outward, outward, 20.0, 5.0)
    weight = np.clip(cover * (0.80 + 0.40 * strands), 0.0, 1.0) * person.brow_density
    part = colours[:, chosen]
    _mix(part, person.brow, weight)
    colours[:, chosen] = part


def _lids(person: Person, layout: Layout, eye: int, outward: Vector, t: Vector, noise: Noise, colours: np.ndarray) -> None:
    chosen = np.flatnonzero((np.abs(outward) < 1.4) & (np.abs(t - layout.eye_t[eye]) < 0.34))
    if chosen.size == 0:
        return
    outward, t, part = outward[chosen], t[chosen], colours[:, chosen]
    upper, lower = layout.lids(eye, np.clip(outward, -1.0, 1.0))
    over = upper - t
    arc = np.maximum(1.0 - outward * outward, 0.0)
    fold_t = layout.eye_t[eye] - layout.eye_cant * layout.eye_half_width * outward - (layout.lid_full + 0.085) * (0.25 + 0.75 * arc)
    fold = _bell(t - fold_t, 0.018) * ramp(1.15 - np.abs(outward), 0.3)
    part *= 1.0 - fold * (0.15 + 0.35 * person.crease)
    span = ramp(1.10 - np.abs(outward), 0.12)
    feminine = 1.0 - person.masculinity
    # The mean cover of the lashes remains where single lashes are finer than a pixel.
    lashes = ramp(over, 0.01) * ramp(0.035 + 0.06 * (0.5 + 0.5 * outward) * (0.4 + feminine) - over, 0.05)
    lashes *= np.clip(0.35 + 0.25 * feminine + 0.5 * noise(outward + over * (1.5 + outward), over, 26.0, 2.0), 0.0, 1.0)
    dark = np.maximum(_bell(over - 0.008, 0.020) * (0.65 + 0.3 * feminine), lashes) * span
    below = t - lower
    dark = np.maximum(dark, _bell(below - 0.008, 0.014) * span * (0.25 + 0.25 * feminine))
    _mix(part, tuple(0.35 * channel for channel in person.brow), np.minimum(dark, 0.95))
    colours[:, chosen] = part


def _beard(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise, colours: np.ndarray, gloss: Vector) -> None:
    style = person.beard_style
    if style == "none":
        return
    side = np.abs(s)
    across = np.clip(s / layout.mouth_half_width, -1.0, 1.0)
    top, _, _, bottom = layout.mouth(across)
    moustache = ramp(0.62 - side, 0.16) * ramp(t - layout.nose_tip_t - 0.20, 0.08) * ramp(top + 0.02 - t, 0.04)
    if style != "moustache":
        moustache = np.maximum(moustache, _bell(side - layout.mouth_half_width - 0.12, 0.09) * ramp(t - 0.5, 0.2))
    jaw = ramp(t + 0.42 * side - 0.78 - 0.05 * noise(s, t, 5.0, 5.0), 0.22) * ramp(t - bottom + 0.02, 0.06)
    jaw = np.maximum(jaw, ramp(t + 0.42 * side - 0.80, 0.2) * ramp(side - layout.mouth_half_width - 0.12, 0.12))
    chin = jaw * ramp(0.52 - side, 0.18)
    area = {"moustache": moustache, "goatee": np.maximum(moustache, chin)}.get(style, np.maximum(moustache, jaw))
    strands = noise(s, t, 36.0, 11.0) + 0.7 * noise(s, t, 14.0, 5.0)
    if style == "stubble":
        weight = area * person.beard_density * np.clip(0.24 + 0.16 * noise(s, t, 60.0, 60.0) + 0.08 * noise(s, t, 15.0, 15.0), 0, 1)
    else:
        weight = np.clip(area * (1.15 + 0.35 * strands) * (0.7 + 0.3 * person.beard_density) - 0.1, 0.0, 0.96)
    tint = np.array(person.hair, np.float32)[:, None] * 0.75 * np.clip(1.0 + 0.35 * strands, 0.3, 2.0)
    _mix(colours, tint + np.float32(0.004), weight)
    gloss *= 1.0 - 0.8 * weight


def mouth_inside(layout: Layout, s: Vector, t: Vector) -> Tuple[Vector, np.ndarray]:
    """Cover `[N]` and colours `[3, N]` of what the open mouth shows: teeth, tongue, darkness."""
    across = s / layout.mouth_half_width
    _, upper, lower, _ = layout.mouth(np.clip(across, -1.0, 1.0))
    cover = ramp(t - upper, 0.016) * ramp(lower - t, 0.016) * ramp(0.97 - np.abs(across), 0.05)
    colours = np.empty((3, s.size), np.float32)
    colours[:] = np.array([0.055, 0.012, 0.012], np.float32)[:, None]
    tongue = _bell(s, 0.26) * ramp(t - layout.mouth_t - 0.4 * layout.gap_low, 0.10)
    _mix(colours, (0.34, 0.10, 0.10), 0.8 * tongue)
    bent = s * (1.0 + 0.55 * s * s) / 0.088
    tooth = np.abs(bent - np.round(bent - 0.5) - 0.5) * 2.0  # 0 in the middle of a tooth, 1 between two
    gap = 1.0 - 0.40 * ramp(tooth - 0.80, 0.2)
    edge = layout.mouth_t - 0.6 * layout.mouth_lift * across * across + 0.075 - 0.02 * tooth * tooth - 0.05 * across * across
    shade = gap * np.clip(1.08 - 0.75 * across * across, 0.1, 1.0)
    ivory = np.array([0.74, 0.70, 0.62], np.float32)[:, None] * shade
    _mix(colours, ivory, ramp(edge - t, 0.02))
    low_edge = layout.mouth_t + layout.gap_low - 0.045 + 0.06 * across * across
    _mix(colours, 0.7 * ivory, ramp(t - low_edge, 0.02) * min(1.0, 3.0 * layout.gap_low) * 0.8)
    colours *= 0.45 + 0.55 * ramp(t - upper, 0.07)
    return cover, colours


def eye_cover(layout: Layout, eye: int, s: Vector, t: Vector) -> Tuple[Vector, Vector, Vector]:
    """Cover of one eye's opening, position between the corners (-1 inner, 1 outer) and depth under the upper lid."""
    outward = (s - layout.eye_s[eye]) * ((-1.0 if eye == 0 else 1.0) / layout.eye_half_width)
    upper, lower = layout.lids(eye, np.clip(outward, -1.0, 1.0))
    cover = ramp(t - upper, 0.014) * ramp(lower - t, 0.014) * (np.abs(outward) < 1.0)
    return cover, outward, t - upper


def eye_colours(person: Person, gaze: np.ndarray, normal: np.ndarray, outward: Vector, depth: Vector, noise: Noise) -> np.ndarray:
    """Colours `[3, N]` of the eyeball where its unit normal is `normal` [3, N]: sclera, iris, pupil.

    `gaze` is the unit vector the eye looks along; iris and pupil are discs around it.
    """
    right = np.array([gaze[2], 0.0, -gaze[0]]) / np.hypot(gaze[0], gaze[2])
    down = np.cross(gaze, right)
    iris_sine = 0.128 / EYEBALL_RADIUS
    a = (right.astype(np.float32) @ normal) / iris_sine
    b = (down.astype(np.float32) @ normal) / iris_sine
    radius = np.sqrt(a * a + b * b)
    angle = np.arctan2(b, a)
    colours = np.empty((3, a.size), np.float32)
    colours[:] = np.array([0.66, 0.62, 0.60], np.float32)[:, None]
    red = 0.25 * ramp(np.abs(outward) - 0.45, 0.6) + 0.06 * np.abs(noise(a, b, 6.0, 6.0))
    colours *= 1.0 - np.array([0.15, 0.75, 0.75], np.float32)[:, None] * red
    _mix(colours, (0.42, 0.16, 0.14), ramp(-0.80 - outward, 0.12))
    fibres = 1.0 + 0.35 * noise(angle, radius, 9.0, 1.5) + 0.20 * noise(angle, radius, 26.0, 3.0)
    rings = (1.0 + 0.7 * _bell(radius - 0.52, 0.16)) * (1.0 - 0.70 * ramp(radius - 0.76, 0.24))
    iris = np.array(person.iris, np.float32)[:, None] * (1.5 * np.clip(fibres, 0.2, 2.5) * rings)
    _mix(colours, iris, ramp(1.04 - radius, 0.10))
    _mix(colours, (0.004, 0.004, 0.004), ramp(0.46 - radius, 0.07))
    colours *= 0.30 + 0.70 * ramp(depth, 0.10)
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
        strands = 0.8 * noise(around, polar, 9.0, 1.0) + 0.8 * noise(around, polar, 26.0, 2.0) + 0.7 * noise(around, polar, 70.0, 4.0)
    edge = hair_reach(person, *direction) + 0.045 * strands
    fluff = 0.16 if style in ("buzz", "receding") else 0.10
    cover = ramp(edge + 0.01, fluff)
    if style == "buzz":
        cover = cover * 0.82
    if style == "bald":
        cover = ramp(edge - 0.05, 0.3) * 0.10
    shade = np.clip(1.0 + 0.32 * strands, 0.25, 2.2)
    colours = np.array(person.hair, np.float32)[:, None] * shade
    if 0.1 < person.hair_grey < 0.9:
        _mix(colours, (0.45, 0.44, 0.43), np.clip(0.5 * noise(azimuth + 1.0, polar, 40.0, 2.0) - 0.2, 0.0, 0.6))
    tangent = frame[2][:, None] - direction * up
    tangent /= np.sqrt(np.sum(tangent * tangent, axis=0)) + 1e-4
    return cover, colours, tangent
