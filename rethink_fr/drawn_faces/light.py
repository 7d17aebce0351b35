"""The light on a drawn head: a key light with shadows, sky and ground, a rim light, and highlights.

Vectors are float32 `[3, N]` in the head frame, colours float32 `[3, N]` in linear light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rethink_fr.drawn_faces.noise import Vector, dot, norm
from rethink_fr.drawn_faces.person import Colour
from rethink_fr.drawn_faces.shape import HeadSurface
from rethink_fr.drawn_faces.shot import Shot

_KEY_STRENGTH = 3.4


@dataclass(frozen=True)
class Points:
    """Points of a surface that rays have met."""

    position: np.ndarray  # [3, N]
    normal: np.ndarray  # [3, N], unit
    ray: np.ndarray  # [3, N], unit, away from the camera
    lit: Vector  # [N], 0..1: the share of the key light that arrives

    def take(self, chosen: np.ndarray) -> Points:
        """The points with these indices."""
        position, normal, ray = (vector.take(chosen, axis=1) for vector in (self.position, self.normal, self.ray))
        return Points(position, normal, ray, self.lit.take(chosen))


class Light:
    """The lights around one head in one shot.

    Args:
        shot: has the lights, in the camera frame.
        rotation: float64 [3, 3], turns the head frame into the camera frame.
        surface: the surface that casts shadows.
    """

    def __init__(self, shot: Shot, rotation: np.ndarray, surface: HeadSurface) -> None:
        self.shot, self.surface = shot, surface
        self.colour = _column(shot.light_colour)
        self.direction = (rotation.T @ np.array(shot.light)).astype(np.float32)
        self.up = (rotation.T @ np.array([0.0, -1.0, 0.0])).astype(np.float32)
        rim = np.array([0.85 * shot.rim_side, -0.35, -0.55])
        self.rim = (rotation.T @ (rim / np.linalg.norm(rim))).astype(np.float32)

    def meet(self, position: np.ndarray, normal: np.ndarray, ray: np.ndarray) -> Points:
        """Points with their shadows, found by a short march towards the key light over the surface with hair."""
        lit = np.ones(position.shape[1], np.float32)
        chosen = np.flatnonzero(self.direction @ normal > -0.25)
        if chosen.size:
            x, y, z = position.take(chosen, axis=1) + np.float32(0.03) * normal.take(chosen, axis=1)
            free = np.ones(chosen.size, np.float32)
            before = 0.0
            for step in (0.07, 0.16, 0.32, 0.6, 1.1):
                for axis, along in zip((x, y, z), self.direction):
                    axis += along * np.float32(step - before)
                before = step
                # The rays of a broad lamp: what passes close above the surface is partly hidden too.
                clear = self.surface.clearance(x, y, z)
                clear *= 1.0 / (0.05 + 0.22 * step)
                np.minimum(free, clear, out=free)
            lit[chosen] = np.clip(free + 0.55, 0.0, 1.0)
        return Points(position, normal, ray, lit)

    def reflect(
        self,
        points: Points,
        albedo: np.ndarray,
        gloss: Vector | float,
        open_sky: Vector | float = 1.0,
        soft: float = 1.0,
    ) -> np.ndarray:
        """The light that points send to the camera.

        Args:
            albedo: the diffuse reflectances, [3, N].
            gloss: strength of the highlight and of the reflected sky.
            open_sky: the share of sky and ground that a point sees.
            soft: with 1, reddish light goes past the edge of a shadow, as in skin; 0 is Lambert's law.
        """
        shot, normal = self.shot, points.normal
        facing = self.direction @ normal
        shine = self.direction[:, None] - points.ray
        shine /= norm(shine)
        broad = _sixteenth_power(np.maximum(dot(shine, normal), 0.0))
        glancing = 1.0 + np.minimum(dot(points.ray, normal), 0.0)
        glancing *= glancing
        fresnel = gloss * (0.04 + 0.5 * glancing * glancing)
        highlight = (0.10 * gloss + fresnel) * points.lit * np.maximum(facing, 0.0) * broad * (0.40 + broad * broad)
        rim: Vector | float = 0.0
        if shot.rim > 0.0:
            rim = np.maximum(self.rim @ normal, 0.0) * (shot.rim * (0.5 + 2.0 * fresnel))
        over = (0.5 + 0.5 * (self.up @ normal)) * open_sky
        sheen = 0.35 * fresnel
        bent = 0.5 * points.lit * (1.0 - points.lit)
        out = np.empty_like(albedo)
        for channel, bleed in enumerate((0.30, 0.14, 0.09)):
            key, wrap = float(_KEY_STRENGTH * self.colour[channel, 0]), bleed * soft
            diffuse = np.maximum(facing + wrap, 0.0)
            diffuse *= points.lit + wrap * bent
            diffuse *= key / (1.0 + wrap)
            ambient = (shot.sky[channel] - shot.ground[channel]) * over
            ambient += shot.ground[channel] * open_sky
            diffuse += ambient + rim
            diffuse *= albedo[channel]
            ambient *= sheen
            diffuse += ambient
            diffuse += key * highlight
            out[channel] = diffuse
        return out

    def reflect_hair(
        self, points: Points, albedo: np.ndarray, tangent: np.ndarray, open_sky: Vector | float
    ) -> np.ndarray:
        """As `reflect`, for strands of hair in the unit directions `tangent` [3, N] (Kajiya and Kay 1989)."""
        out = self.reflect(points, albedo, 0.05, open_sky, 0.6)
        half = self.direction[:, None] - points.ray
        half /= norm(half)
        along = dot(half, tangent)
        band = _sixteenth_power(np.maximum(1.0 - along * along, 0.0)) * np.maximum(self.direction @ points.normal, 0.0)
        mean = (albedo[0] + albedo[1] + albedo[2]) * (1.0 / 3.0)
        out += _KEY_STRENGTH * self.colour * (band * (0.35 * albedo + 0.05 * mean / (mean + 0.05)))
        return out


def _column(colour: Colour) -> np.ndarray:
    return np.array(colour, np.float32)[:, None]


def _sixteenth_power(values: Vector) -> Vector:
    for _ in range(4):
        values = values * values
    return values
