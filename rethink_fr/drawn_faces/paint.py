"""The colours of a drawn face's skin, with lips, brows, lashes, beard, marks and wrinkles.

Functions take float32 vectors of N chart positions and work on colours `[3, N]`, linear-light reflectances. Everything
is painted in the chart of the surface, so it stays in its place on the skin when the head turns.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.layout import BROW_LENGTH, BROW_START, Layout
from rethink_fr.drawn_faces.noise import Noise, Vector, bell, mix, put, ramp
from rethink_fr.drawn_faces.person import Person


def skin(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise) -> Tuple[np.ndarray, Vector]:
    """Colours `[3, N]` and gloss `[N]` of the skin at positions in the chart."""
    side = np.abs(s)
    tone = 1.0 + 0.045 * noise(s, t, 3.0, 3.0) + 0.035 * noise(s, t, 11.0, 11.0) + 0.045 * noise(s, t, 55.0, 55.0)
    colours = np.array(person.skin, np.float32)[:, None] * tone
    nose_t = layout.nose_tip_t
    flush = bell(side - 0.80, 0.35) * bell(t - 0.10, 0.30) + 0.8 * bell(side, 0.22) * bell(t - nose_t, 0.16)
    flush *= person.redness * (0.8 + 0.2 * noise(s, t, 6.0, 6.0))
    colours *= 1.0 + np.array([0.04, -0.20, -0.16], np.float32)[:, None] * flush
    tired = bell(side - 0.58, 0.28) * bell(t + 0.40, 0.10) * (0.10 + 0.16 * person.age)
    colours *= 1.0 - np.array([0.8, 1.0, 0.75], np.float32)[:, None] * tired
    if person.freckles > 0:
        spots = np.clip(noise(s, t, 24.0, 24.0) - 0.9, 0.0, 1.0) * bell(t + 0.05, 0.45) * bell(side - 0.4, 0.7)
        colours *= 1.0 - np.array([0.35, 0.5, 0.55], np.float32)[:, None] * (person.freckles * spots)
    for mole_s, mole_t, radius in person.moles:
        mix(colours, (0.08, 0.035, 0.02), 0.75 * bell(np.hypot(s - mole_s, t - mole_t), radius) ** 2)
    colours *= 1.0 - _wrinkles(person, layout, s, t, noise)
    gloss = (
        person.gloss
        * (1.0 - 0.7 * bell(t + 0.45, 0.22) * bell(side - 0.6, 0.4))
        * (0.55 + 0.45 * bell(side, 0.45) * np.clip(1.0 - t, 0.0, 1.0))
        * (1.0 + 0.2 * noise(s, t, 70.0, 70.0))
    )
    nostril = bell(side - 0.105 * person.nose_width, 0.055) * bell(t - nose_t - 0.115, 0.035)
    colours *= 1.0 - 0.92 * np.minimum(nostril * 1.3, 1.0)
    _beard(person, layout, s, t, noise, colours, gloss)
    _lips(person, layout, s, t, noise, colours, gloss)
    for eye, sign in ((0, -1.0), (1, 1.0)):
        _brow(person, layout, eye, sign * s, t, noise, colours, gloss)
        _lids(person, layout, eye, sign * (s - layout.eye_s[eye]) / layout.eye_half_width, t, noise, colours)
    return colours, gloss


def _wrinkles(person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise) -> Vector:
    """How much darker wrinkles make the skin: on the forehead, beside the eyes and beside the mouth."""
    side, age = np.abs(s), person.age
    waves = 0.025 * noise(s, t, 2.0, 0.5)
    rise = max(0.0, (layout.eye_t[0] - layout.brow_t[0]) - person.brow_shape[0]) * 4.0
    forehead = sum(bell(t + height + waves + 0.03 * s * s, 0.014) for height in (1.22, 1.36, 1.50))
    dark = forehead * ramp(0.85 - side, 0.4) * (0.28 * max(age - 0.3, 0.0) + 0.30 * rise)
    far = side - layout.eye_s[1] - layout.eye_half_width
    rays = sum(bell(t + 0.62 - slope * far + 0.4 * waves, 0.012) for slope in (-0.45, 0.0, 0.5))
    smile = max(layout.mouth_lift, 0.0) * 9.0
    dark += rays * ramp(far - 0.06, 0.05) * ramp(0.36 - far, 0.15) * 0.25 * max(age - 0.25 + 0.2 * smile, 0.0)
    along = np.clip((t - 0.12) / 0.55, 0.0, 1.0)
    start, end = layout.nose_half_width * 1.30, layout.mouth_half_width + 0.11
    fold = bell(side - start - (end - start) * along**1.3, 0.022) * ramp(t - 0.10, 0.1) * ramp(0.72 - t, 0.15)
    dark += fold * (0.05 + 0.22 * age + 0.12 * smile)
    knit = bell(side - 0.085, 0.016) * ramp(t + 1.05, 0.08) * ramp(-0.78 - t, 0.08)
    return np.minimum(dark + knit * (5.0 * layout.brow_knit + 0.2 * max(age - 0.5, 0.0)), 0.8)


def _lips(
    person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise, colours: np.ndarray, gloss: Vector
) -> None:
    chosen = np.flatnonzero((np.abs(s) < layout.mouth_half_width + 0.08) & (np.abs(t - layout.mouth_t - 0.1) < 0.55))
    if chosen.size == 0:
        return
    s, t, part = s[chosen], t[chosen], colours.take(chosen, axis=1)
    across = s / layout.mouth_half_width
    top, upper, lower, bottom = layout.mouth(across)
    inside = ramp(1.0 - np.abs(across), 0.08)
    lips = ramp(t - top + 0.012, 0.03) * ramp(bottom - t + 0.012, 0.03) * inside
    lines = 1.0 + 0.10 * noise(s, t, 30.0, 5.0) + 0.05 * noise(s, t, 9.0, 3.0)
    tint = np.array(person.lip, np.float32)[:, None] * lines * np.where(t < upper, 0.86, 1.0)
    part += (tint - part) * (0.9 * lips)
    seam = (bell(t - upper, 0.016) + bell(t - lower, 0.016)) * ramp(1.04 - np.abs(across), 0.06)
    part *= 1.0 - 0.55 * np.minimum(seam, 1.0)
    put(colours, chosen, part)
    gloss[chosen] += lips * 0.5 * (1.0 - 0.6 * person.masculinity)


def _brow(
    person: Person,
    layout: Layout,
    eye: int,
    outward: Vector,
    t: Vector,
    noise: Noise,
    colours: np.ndarray,
    gloss: Vector,
) -> None:
    chosen = np.flatnonzero((np.abs(outward - 0.66) < 0.56) & (np.abs(t - layout.brow_t[eye]) < 0.34))
    if chosen.size == 0:
        return
    outward, t = outward[chosen], t[chosen]
    along = (outward - BROW_START) / BROW_LENGTH
    thick = person.brow_shape[1] * (1.0 - 0.55 * np.clip(along, 0.0, 1.0) ** 2)
    away = (t - layout.brow(eye, along)) / thick
    cover = ramp(1.35 - np.abs(away), 0.8) * ramp(along + 0.02, 0.16) * ramp(1.03 - along, 0.25)
    strands = noise(t + 0.55 * outward, outward - 0.3 * t, 42.0, 9.0) + 0.6 * noise(
        t + 0.9 * outward, outward, 20.0, 5.0
    )
    weight = np.clip(cover * (0.95 + 0.40 * strands), 0.0, 1.0) * person.brow_density
    part = colours.take(chosen, axis=1)
    mix(part, person.brow, weight)
    gloss[chosen] *= 1.0 - 0.8 * weight
    put(colours, chosen, part)


def _lids(
    person: Person, layout: Layout, eye: int, outward: Vector, t: Vector, noise: Noise, colours: np.ndarray
) -> None:
    chosen = np.flatnonzero((np.abs(outward) < 1.4) & (np.abs(t - layout.eye_t[eye]) < 0.34))
    if chosen.size == 0:
        return
    outward, t, part = outward[chosen], t[chosen], colours.take(chosen, axis=1)
    upper, lower = layout.lids(eye, np.clip(outward, -1.0, 1.0))
    over = upper - t
    arc = np.maximum(1.0 - outward * outward, 0.0)
    fold_t = (
        layout.eye_t[eye]
        - layout.eye_cant * layout.eye_half_width * outward
        - (layout.lid_full + 0.085) * (0.25 + 0.75 * arc)
    )
    fold = bell(t - fold_t, 0.018) * ramp(1.15 - np.abs(outward), 0.3)
    part *= 1.0 - fold * (0.15 + 0.35 * person.crease)
    span = ramp(1.10 - np.abs(outward), 0.12)
    feminine = 1.0 - person.masculinity
    # Where single lashes are finer than a pixel, their mean cover remains.
    lashes = ramp(over, 0.01) * ramp(0.035 + 0.06 * (0.5 + 0.5 * outward) * (0.4 + feminine) - over, 0.05)
    lashes *= np.clip(0.35 + 0.25 * feminine + 0.5 * noise(outward + over * (1.5 + outward), over, 26.0, 2.0), 0.0, 1.0)
    dark = np.maximum(bell(over - 0.008, 0.022) * (0.78 + 0.2 * feminine), lashes) * span
    below = t - lower
    dark = np.maximum(dark, bell(below - 0.008, 0.014) * span * (0.25 + 0.25 * feminine))
    mix(part, 0.35 * np.array(person.brow, np.float32), np.minimum(dark, 0.95))
    put(colours, chosen, part)


def _beard(
    person: Person, layout: Layout, s: Vector, t: Vector, noise: Noise, colours: np.ndarray, gloss: Vector
) -> None:
    style = person.beard_style
    if style == "none":
        return
    side = np.abs(s)
    across = np.clip(s / layout.mouth_half_width, -1.0, 1.0)
    top, _, _, bottom = layout.mouth(across)
    grain = noise(s, t, 30.0, 30.0)
    moustache = ramp(0.66 - side, 0.22) * ramp(t - layout.nose_tip_t - 0.20 - 0.22 * side + 0.02 * grain, 0.12)
    moustache *= ramp(top + 0.03 - t, 0.04)
    if style != "moustache":
        moustache = np.maximum(moustache, bell(side - layout.mouth_half_width - 0.12, 0.09) * ramp(t - 0.5, 0.2))
    jaw = ramp(t + 0.42 * side - 0.78 - 0.05 * noise(s, t, 5.0, 5.0) - 0.04 * grain, 0.30) * ramp(
        t - bottom + 0.02, 0.06
    )
    jaw = np.maximum(jaw, ramp(t + 0.42 * side - 0.80, 0.2) * ramp(side - layout.mouth_half_width - 0.12, 0.12))
    chin = jaw * ramp(0.55 - side + 0.03 * grain, 0.25)
    area = {"moustache": moustache, "goatee": np.maximum(moustache, chin)}.get(style, np.maximum(moustache, jaw))
    strands = noise(s + 0.25 * t * np.sign(s), t, 42.0, 12.0) + 0.6 * noise(s, t, 17.0, 8.0)
    if style == "stubble":
        weight = (
            area
            * person.beard_density
            * np.clip(0.24 + 0.16 * noise(s, t, 60.0, 60.0) + 0.08 * noise(s, t, 15.0, 15.0), 0, 1)
        )
    else:
        weight = np.clip(area * (1.15 + 0.35 * strands) * (0.7 + 0.3 * person.beard_density) - 0.1, 0.0, 0.96)
    tint = np.array(person.hair, np.float32)[:, None] * 0.75 * np.clip(1.0 + 0.35 * strands, 0.3, 2.0)
    mix(colours, tint + np.float32(0.004), weight)
    gloss *= 1.0 - 0.8 * weight
