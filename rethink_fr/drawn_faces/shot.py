"""One picture of a drawn person: pose, expression, light and surroundings, and how these are drawn at random.

A shot depends on the identity and on the number of the picture. Colours and lengths are as in `person.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from rethink_fr.drawn_faces.person import Colour, Person, colour, generator, hue_colour

CLOTHES_STYLES = ("crew", "v_neck", "turtle", "shirt")
BACKGROUNDS = ("studio", "bokeh", "outdoor", "shelves", "wall")


@dataclass(frozen=True)
class Shot:
    """What one picture adds to a person. Angles are in radians."""

    yaw: float  # positive = the face turns to the image's right
    pitch: float  # positive = the face looks down
    smile: float  # -0.5 frown .. 1
    jaw_open: float  # 0..1
    pucker: float  # 0..1
    eye_open: Tuple[float, float]  # image left, image right; 0 closed, 1 normal
    brow_raise: float
    brow_knit: float
    gaze: Tuple[float, float]  # x right, y down
    light: Tuple[float, float, float]  # unit vector towards the key light: x right, y down, z to the camera
    light_colour: Colour
    rim: float  # strength of a light from behind
    rim_side: float
    sky: Colour
    ground: Colour
    exposure: float
    background: str
    background_colours: Tuple[Colour, Colour, Colour]
    background_seed: int
    clothes_style: str
    clothes_colours: Tuple[Colour, Colour]
    clothes_pattern: float  # frequency of stripes; 0 = plain
    body_yaw: float
    wears_glasses: bool
    framing: Tuple[float, float, float, float]  # log scale, angle, shift x, shift y (fractions of the side)


def draw_shot(identity: int, picture: int, person: Person) -> Shot:
    """Draw the picture with the number `picture`, 0 or more, of `person`, who must be `draw_person(identity)`."""
    rng = generator(7002, identity, picture)
    yaw = float(np.clip(rng.normal(0.0, 0.24), -0.62, 0.62))
    happy = rng.random()
    smile = float(rng.uniform(0.45, 1.0) if happy < 0.5 else rng.uniform(-0.3, 0.35))
    jaw_open = 0.0
    if rng.random() < 0.45:
        jaw_open = float(rng.beta(1.4, 2.6)) if smile < 0.4 else float(rng.uniform(0.15, 0.55))
    eyes = rng.uniform(0.82, 1.12) - 0.22 * max(smile, 0.0) * rng.random()
    closing = rng.random()
    if closing < 0.06:
        eyes = 0.0
    elif closing < 0.14:
        eyes *= rng.uniform(0.3, 0.7)
    right_eye = 0.0 if 0.14 <= closing < 0.16 else eyes * rng.uniform(0.96, 1.04)
    side = rng.normal(0.0, 0.55) if rng.random() < 0.7 else rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.45)
    height = rng.uniform(0.0, 0.95)
    light = np.array([np.sin(side) * np.cos(height), -np.sin(height), np.cos(side) * np.cos(height)])
    warmth = rng.normal(0.0, 0.16)
    strength = rng.uniform(1.1, 2.3)
    ambient = rng.uniform(0.12, 0.55)
    sky = ambient * (1.0 + rng.normal(0.0, 0.10, 3))
    ground = ambient * rng.uniform(0.35, 0.85) * (1.0 + rng.normal(0.0, 0.10, 3))
    backgrounds = [
        colour(hue_colour(rng, rng.uniform(0.05, 0.7), np.exp(rng.uniform(np.log(0.03), np.log(0.75)))))
        for _ in range(3)
    ]
    clothes = [
        colour(hue_colour(rng, rng.uniform(0.0, 0.8), np.exp(rng.uniform(np.log(0.02), np.log(0.7))))) for _ in range(2)
    ]
    # The photographer meters for the light, and partly for the skin.
    brightness = float(np.dot(person.skin, [0.25, 0.6, 0.15]))
    metered = 1.3 * strength * (0.35 + 0.65 * max(float(light[2]), 0.0)) + 0.8 * ambient
    return Shot(
        yaw=yaw,
        pitch=float(np.clip(rng.normal(0.02, 0.11), -0.28, 0.28)),
        smile=smile,
        jaw_open=jaw_open,
        pucker=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.07 and smile < 0.3 else 0.0,
        eye_open=(float(eyes), float(right_eye)),
        brow_raise=float(np.clip(rng.normal(0.05, 0.35), -0.5, 1.0)),
        brow_knit=float(max(0.0, rng.normal(-0.3, 0.5))),
        gaze=(float(np.clip(-0.5 * yaw + rng.normal(0.0, 0.16), -0.45, 0.45)), float(rng.normal(0.0, 0.07))),
        light=(float(light[0]), float(light[1]), float(light[2])),
        light_colour=colour(0.62 * strength * np.array([1.0 + warmth, 1.0, 1.0 - warmth]) / 1.6),
        rim=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.35 else 0.0,
        rim_side=float(rng.choice([-1.0, 1.0])),
        sky=colour(sky),
        ground=colour(ground),
        exposure=float((0.28 / brightness) ** 0.5 * (2.2 / metered) ** 0.7 * np.exp(rng.normal(0.0, 0.14))),
        background=str(rng.choice(BACKGROUNDS)),
        background_colours=(backgrounds[0], backgrounds[1], backgrounds[2]),
        background_seed=int(rng.integers(0, 2**31)),
        clothes_style=str(rng.choice(CLOTHES_STYLES)),
        clothes_colours=(clothes[0], clothes[1]),
        clothes_pattern=float(rng.uniform(2.0, 9.0)) if rng.random() < 0.4 else 0.0,
        body_yaw=float(0.5 * yaw + rng.normal(0.0, 0.12)),
        wears_glasses=bool(person.glasses_style != "none" and rng.random() < 0.9),
        framing=(
            float(np.clip(rng.normal(0.0, 0.022), -0.05, 0.05)),
            float(np.clip(rng.normal(0.0, 0.03), -0.08, 0.08)),
            float(np.clip(rng.normal(0.0, 0.008), -0.02, 0.02)),
            float(np.clip(rng.normal(0.0, 0.008), -0.02, 0.02)),
        ),
    )
