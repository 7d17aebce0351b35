"""The ears, neck, torso and hanging hair of a drawn person: ellipsoids, and the colours of their surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from rethink_fr.drawn_faces.light import Light, Points
from rethink_fr.drawn_faces.noise import Noise, Vector, mix, norm, ramp
from rethink_fr.drawn_faces.person import Person
from rethink_fr.drawn_faces.shot import Shot

# Where the neck meets the head, head frame.
_NECK_JOINT = (0.0, 1.0, -0.50)


@dataclass(frozen=True)
class Ellipsoid:
    """A body part: all points p with |frame @ (p - centre)| = 1, in the head frame."""

    name: str
    centre: np.ndarray  # float64 [3]
    frame: np.ndarray  # float64 [3, 3]

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Tuple[np.ndarray, Vector]:
        """The indices of those rays [3, N] that meet the part, and the distances to its near side."""
        o, d = (self.frame @ (origin - self.centre)).astype(np.float32), self.frame.astype(np.float32) @ rays
        a, b = d[0] * d[0] + d[1] * d[1] + d[2] * d[2], o @ d
        inside = b * b - a * (o @ o - np.float32(1.0))
        chosen = np.flatnonzero(inside > 0.0)
        return chosen, -(b.take(chosen) + np.sqrt(inside.take(chosen))) / a.take(chosen)


def _axes(x: float, y: float, z: float, rotation: np.ndarray) -> np.ndarray:
    return np.diag([1.0 / x, 1.0 / y, 1.0 / z]) @ rotation


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), 0.0, -np.sin(angle)], [0.0, 1.0, 0.0], [np.sin(angle), 0.0, np.cos(angle)]])


def body_parts(person: Person, shot: Shot, rotation: np.ndarray) -> List[Ellipsoid]:
    """The body parts of one shot, in the head frame; `rotation` turns the head frame into the camera frame."""
    parts = []
    joint = rotation @ np.array(_NECK_JOINT)
    broad = 0.80 + 0.16 * person.masculinity + 0.04 * person.fullness
    neck = joint + np.array([0.0, 0.9, -0.10])
    parts.append(Ellipsoid("neck", rotation.T @ neck, _axes(broad, 2.6, broad * 0.95, rotation)))
    torso = np.array([0.4 * joint[0], joint[1] + 3.55, joint[2] - 0.1])
    wide = 2.9 + 0.6 * person.masculinity
    parts.append(Ellipsoid("torso", rotation.T @ torso, _axes(wide, 2.55, 1.35, _turn(shot.body_yaw) @ rotation)))
    style = person.hair_style
    if style in ("bob", "long", "wavy"):
        low = 1.55 if style == "bob" else 2.9
        volume = 1.42 + 0.22 * person.hair_volume
        parts.append(Ellipsoid("locks", np.array([0.0, -0.3, -0.75]), _axes(volume, low, 0.85, np.eye(3))))
    elif style != "fringe":
        size = person.ear_size
        for side in (-1.0, 1.0):
            centre = np.array([side * 1.44 * person.head_width, -0.30, -0.02])
            frame = _axes(0.10 * size, 0.43 * size, 0.25 * size, _turn(side * person.ear_angle))
            parts.append(Ellipsoid("ear", centre, frame))
    return parts


class BodyPainter:
    """Computes the colours of the body parts of one shot.

    Args:
        person, shot: who and what is drawn.
        light: the light on the body.
        rotation: float64 [3, 3], turns the head frame into the camera frame.
        noise: the patterns of the person's skin, hair and clothes.
    """

    def __init__(self, person: Person, shot: Shot, light: Light, rotation: np.ndarray, noise: Noise) -> None:
        self.person, self.shot, self.light, self.noise = person, shot, light, noise
        self.rotation = rotation.astype(np.float32)
        self.joint = self.rotation @ np.array(_NECK_JOINT, np.float32)

    def paint(self, part: Ellipsoid, position: np.ndarray, ray: np.ndarray) -> np.ndarray:
        """The light from points [3, N] of a part, seen along unit rays; float32 [3, N]."""
        frame = part.frame.astype(np.float32)
        local = frame @ (position - part.centre.astype(np.float32)[:, None])
        normal = frame.T @ local
        normal /= norm(normal)
        points = self.light.meet(position, normal, ray)
        if part.name == "locks":
            albedo, tangent = self._locks(position)
            return self.light.reflect_hair(points, albedo, tangent, 0.7)
        if part.name == "ear":
            ring = np.sqrt(local[1] * local[1] + local[2] * local[2])
            rim = (ring - 0.66) * (1.0 / 0.12)
            groove = np.minimum(np.exp(-rim * rim) + 0.8 * ramp(0.42 - ring, 0.25), 1.0)
            reddish = np.array(self.person.skin, np.float32) * np.array([1.06, 0.88, 0.86], np.float32)
            return self.light.reflect(points, reddish[:, None] * (1.0 - 0.45 * groove), 0.4, 1.0 - 0.35 * groove)
        return self._neck_or_torso(part, points.position, points)

    def _neck_or_torso(self, part: Ellipsoid, position: np.ndarray, points: Points) -> np.ndarray:
        shot, noise = self.shot, self.noise
        x, y, z = self.rotation @ position
        tone = 1.0 + 0.04 * noise(x, y, 6.0, 6.0) + 0.03 * noise(x, y, 40.0, 40.0)
        albedo = np.array(self.person.skin, np.float32)[:, None] * (0.93 * tone)
        cloth = self._cloth(part, x - 0.6 * self.joint[0], y - self.joint[1], z - self.joint[2])
        tint = np.array(shot.clothes_colours[0], np.float32)[:, None] * (1.0 + 0.10 * noise(x, y, 60.0, 60.0))
        if shot.clothes_pattern > 0.0:
            across = x if shot.clothes_pattern < 5.0 else y - 0.15 * x * x
            mix(tint, shot.clothes_colours[1], ramp(np.sin(3.0 * shot.clothes_pattern * across), 0.3))
        tint *= 1.0 + 0.16 * noise(x, y, 1.6, 0.9)
        mix(albedo, tint, cloth)
        gloss = 0.35 * self.person.gloss * (1.0 - 0.8 * cloth)
        return self.light.reflect(points, albedo, gloss, np.clip((y - self.joint[1]) * 0.7 + 0.25, 0.35, 1.0))

    def _cloth(self, part: Ellipsoid, x: Vector, y: Vector, z: Vector) -> Vector:
        """How much of neck and torso clothes cover, at positions in the camera frame from the joint of the neck."""
        style = self.shot.clothes_style
        if part.name == "neck":
            if style == "turtle":
                return ramp(y - 0.55, 0.03)
            if style == "shirt":
                return ramp(y - 1.25 - 0.15 * x * x + 0.5 * np.abs(x), 0.03)
            return ramp(y - 1.25 - 0.15 * x * x, 0.03) if style == "crew" else np.zeros_like(x)
        away = np.sqrt(x * x + 1.44 * z * z)
        if style == "v_neck":
            return ramp(np.maximum(away - 1.25, np.abs(x) - 0.9 + 0.45 * (y - 0.9)), 0.03)
        return ramp(away - (0.95 if style in ("shirt", "turtle") else 1.15), 0.03)

    def _locks(self, position: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Colours and directions of the hair that hangs behind the neck."""
        noise, (x, y, _) = self.noise, position
        bend = 0.05 * noise(x, y, 2.0, 2.0)
        if self.person.hair_style == "wavy":
            bend += 0.06 * np.sin(7.0 * y)
        x = x + bend
        strands = 0.8 * noise(x, y, 7.0, 0.6) + 0.8 * noise(x, y, 20.0, 1.2) + 0.6 * noise(x, y, 60.0, 2.0)
        tangent = np.zeros_like(position)
        tangent[1] = 1.0
        return np.array(self.person.hair, np.float32)[:, None] * np.clip(1.0 + 0.32 * strands, 0.25, 2.2), tangent
