"""The drawn people: what they look like, and how this is drawn at random.

A person depends on the identity alone. The PCG64 generator is seeded by this integer, so that the values are the same
in every process. Colours are linear-light RGB reflectances in 0..1. Lengths are in head units: an eye is about 0.63
units from the middle of the face.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

Colour = Tuple[float, float, float]

HAIR_STYLES = ("bald", "buzz", "short", "parted", "curly", "fringe", "bob", "long", "wavy", "swept", "receding")
BEARD_STYLES = ("none", "stubble", "moustache", "goatee", "full")
GLASSES_STYLES = ("none", "round", "square", "oval")

_SKIN = ((0.72, 0.49, 0.39), (0.58, 0.37, 0.26), (0.40, 0.23, 0.14), (0.22, 0.115, 0.068), (0.085, 0.044, 0.028))
_NATURAL_HAIR = (
    (0.012, 0.010, 0.009),  # black
    (0.035, 0.022, 0.014),  # dark brown
    (0.10, 0.055, 0.028),  # brown
    (0.20, 0.075, 0.026),  # auburn
    (0.30, 0.19, 0.085),  # dark blond
    (0.52, 0.37, 0.17),  # blond
    (0.36, 0.12, 0.035),  # red
)
_IRIS = (
    (0.045, 0.020, 0.010),  # dark brown
    (0.13, 0.060, 0.022),  # brown
    (0.20, 0.13, 0.045),  # hazel
    (0.12, 0.17, 0.075),  # green
    (0.12, 0.23, 0.36),  # blue
    (0.20, 0.25, 0.28),  # grey
)


@dataclass(frozen=True)
class Person:
    """What is the same in all pictures of one identity. Factors are relative to the mean head."""

    masculinity: float  # 0..1
    age: float  # 0 = about 18 years, 1 = about 80
    melanin: float  # 0..1, lightest to darkest skin
    skin: Colour
    lip: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    gloss: float  # strength of the skin's highlights
    redness: float
    head_width: float
    skull_height: float
    jaw_length: float
    jaw_power: float  # exponent of the lower outline: 1.8 pointed, 2.6 square
    chin: Tuple[float, float]  # width, prominence
    jaw_corner: float
    cheekbone: float
    fullness: float  # -1 gaunt, 1 round
    eye_spacing: float
    eye_size: Tuple[float, float]  # half width, opening (head units)
    eye_cant: float  # slope, positive = outer corner higher
    eye_depth: float
    crease: float  # 0 = no visible fold of the upper lid
    brow_shape: Tuple[float, float, float, float]  # height, thickness, arch, slope
    brow_density: float
    nose_length: float  # added to the mean, head units
    nose_width: float
    nose_height: float
    nose_bump: float  # of the bridge
    nose_tip: float
    mouth_height: float
    mouth_width: float
    lips: Tuple[float, float]  # heights of the upper and lower lip (head units)
    cupid: float
    ear_size: float
    ear_angle: float  # radians
    asymmetry: Tuple[float, float, float]
    hair_style: str
    hair_volume: float
    hair_line: float
    hair_part: float
    hair_grey: float
    beard_style: str
    beard_density: float
    freckles: float
    moles: Tuple[Tuple[float, float, float], ...]  # s, t, radius in the face chart
    glasses_style: str
    glasses_colour: Colour
    glasses_size: Tuple[float, float]  # relative size, thickness (head units)
    texture_offset: Tuple[float, float]  # which part of the fixed noise this person's skin and hair use


@functools.lru_cache(maxsize=4096)
def draw_person(identity: int) -> Person:
    """Draw the person with the number `identity`, 0 or more."""
    rng = generator(7001, identity)

    def vary(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.normal(), -2.2, 2.2))

    male = rng.random() < 0.5
    masculinity = float(np.clip(rng.normal(0.82 if male else 0.16, 0.12), 0.0, 1.0))
    age = float(rng.beta(1.3, 1.9))
    melanin = float(rng.random())
    skin = _blend(_SKIN, melanin) * np.exp(rng.normal(0.0, [0.05, 0.06, 0.09]))
    dark = melanin + rng.normal(0.0, 0.12)
    kind = int(np.clip(rng.integers(0, 2) if dark > 0.5 else rng.integers(0, 7 if dark < 0.3 else 4), 0, 6))
    hair = np.array(_NATURAL_HAIR[kind]) * np.exp(rng.normal(0.0, 0.18))
    grey = float(np.clip((age - 0.5) * 3.0 + rng.normal(0.0, 0.3), 0.0, 1.0)) if age > 0.42 else 0.0
    brow = hair * (0.42 if hair.sum() > 0.1 else 0.8) * (1.0 - 0.5 * grey) + 0.09 * grey
    hair = hair * (1.0 - grey) + np.array([0.50, 0.48, 0.46]) * rng.uniform(0.5, 1.15) * grey
    if rng.random() < 0.04:
        hair = hue_colour(rng, 0.8, 0.25)
    iris = np.array(_IRIS[int(rng.integers(0, 2) if dark > 0.45 else rng.integers(0, 6))])
    if male:
        style = rng.choice(HAIR_STYLES, p=[0.10, 0.14, 0.24, 0.17, 0.12, 0.04, 0.0, 0.04, 0.03, 0.06, 0.06])
        if age > 0.6 and rng.random() < 0.35:
            style = "receding"
    else:
        style = rng.choice(HAIR_STYLES, p=[0.01, 0.03, 0.06, 0.05, 0.15, 0.15, 0.15, 0.18, 0.14, 0.08, 0.0])
    beard = rng.choice(BEARD_STYLES, p=[0.36, 0.24, 0.08, 0.12, 0.20]) if masculinity > 0.6 else "none"
    lip = 0.50 * skin + np.array([0.13, 0.015, 0.025]) * (1.0 - 0.6 * melanin)
    if masculinity < 0.4 and rng.random() < 0.45:
        lip = 0.25 * lip + 0.75 * np.array([0.42, 0.05, 0.07]) * np.exp(rng.normal(0.0, [0.3, 0.5, 0.4]))
    moles = tuple(
        (float(rng.uniform(-0.95, 0.95)), float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.015, 0.034)))
        for _ in range(int(rng.integers(0, 6)))
    )
    freckles = float(rng.uniform(0.3, 1.0)) if melanin < 0.45 and rng.random() < 0.3 else 0.0
    return Person(
        masculinity=masculinity,
        age=age,
        melanin=melanin,
        skin=colour(skin),
        lip=colour(lip),
        hair=colour(hair),
        brow=colour(brow),
        iris=colour(iris * np.exp(rng.normal(0.0, 0.2) + rng.normal(0.0, 0.06, 3))),
        gloss=float(rng.uniform(0.35, 1.0)),
        redness=float(rng.uniform(0.2, 1.0)),
        head_width=vary(1.0 + 0.02 * masculinity, 0.045),
        skull_height=vary(1.0, 0.035),
        jaw_length=vary(1.0 + 0.04 * (masculinity - 0.5), 0.045),
        jaw_power=vary(1.72 + 0.26 * masculinity, 0.13),
        chin=(vary(0.25, 0.05), vary(0.10 + 0.05 * masculinity, 0.035)),
        jaw_corner=vary(0.02 + 0.08 * masculinity, 0.04),
        cheekbone=vary(0.06, 0.03),
        fullness=vary(0.0, 0.5),
        eye_spacing=vary(1.0, 0.045),
        eye_size=(vary(0.31, 0.022), vary(0.125 - 0.018 * masculinity - 0.015 * age, 0.017)),
        eye_cant=vary(0.05, 0.055),
        eye_depth=vary(0.19, 0.04),
        crease=float(rng.uniform(0.0, 1.0)),
        brow_shape=(
            vary(0.33 - 0.05 * masculinity, 0.035),
            vary(0.050 + 0.030 * masculinity, 0.014),
            vary(0.08 - 0.03 * masculinity, 0.03),
            vary(0.04, 0.05),
        ),
        brow_density=float(rng.uniform(0.55, 1.0)),
        nose_length=vary(0.0, 0.035),
        nose_width=vary(0.92 + 0.22 * melanin + 0.1 * masculinity, 0.13),
        nose_height=vary(1.0 - 0.15 * melanin, 0.13),
        nose_bump=vary(0.02, 0.06),
        nose_tip=vary(1.0, 0.17),
        mouth_height=vary(0.65, 0.03),
        mouth_width=vary(0.495, 0.04),
        lips=(
            max(0.05, vary(0.095 + 0.04 * melanin - 0.03 * age, 0.022)),
            max(0.06, vary(0.125 + 0.04 * melanin - 0.03 * age, 0.024)),
        ),
        cupid=float(rng.uniform(0.0, 1.0)),
        ear_size=vary(1.0 + 0.1 * age, 0.09),
        ear_angle=float(rng.uniform(0.15, 0.6)),
        asymmetry=(vary(0.0, 0.005), vary(0.0, 0.010), vary(0.0, 0.010)),
        hair_style=str(style),
        hair_volume=float(rng.uniform(0.6, 1.35)),
        hair_line=vary(0.08 * age * masculinity, 0.05),
        hair_part=float(rng.uniform(-1.0, 1.0)),
        hair_grey=grey,
        beard_style=str(beard),
        beard_density=float(rng.uniform(0.5, 1.0)),
        freckles=freckles,
        moles=moles,
        glasses_style=str(rng.choice(GLASSES_STYLES, p=[0.72, 0.09, 0.11, 0.08])),
        glasses_colour=colour(
            np.array([0.015, 0.014, 0.014]) if rng.random() < 0.6 else hue_colour(rng, 0.6, rng.uniform(0.05, 0.4))
        ),
        glasses_size=(float(rng.uniform(0.88, 1.12)), float(rng.uniform(0.022, 0.06))),
        texture_offset=(float(rng.uniform(0.0, 200.0)), float(rng.uniform(0.0, 200.0))),
    )


def _blend(stops: Sequence[Colour], position: float) -> np.ndarray:
    """The colour at `position`, 0 to 1, along a row of colours, interpolated linearly."""
    grid = np.linspace(0.0, 1.0, len(stops))
    return np.array([np.interp(position, grid, [stop[channel] for stop in stops]) for channel in range(3)])


def colour(values: np.ndarray) -> Colour:
    """Three numbers as a colour, kept within what surfaces reflect."""
    red, green, blue = (float(value) for value in np.clip(values, 0.004, 1.0))
    return red, green, blue


def hue_colour(rng: np.random.Generator, saturation: float, level: float) -> np.ndarray:
    """A random hue of a given saturation, 0 to 1, and mean level."""
    phase = rng.uniform(0.0, 2.0 * np.pi) + np.array([0.0, 2.1, 4.2])
    return level * (1.0 + saturation * np.cos(phase))


def generator(*seeds: int) -> np.random.Generator:
    """A random number generator (PCG64) that depends only on these integers, which must not be negative."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds)))
