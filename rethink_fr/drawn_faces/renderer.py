"""The renderer: turns a person, a shot and the surface of the head into pixels.

Each ray ends at the nearest of the head (found by marching), the ellipsoids of the body, and the background. Light is
linear; a film curve comes last. Points, normals and rays are float32 `[3, N]` in the head frame.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rethink_fr.drawn_faces import eyes_mouth
from rethink_fr.drawn_faces import paint as face_paint
from rethink_fr.drawn_faces.body import BodyPainter, body_parts
from rethink_fr.drawn_faces.hair import hair_colours
from rethink_fr.drawn_faces.layout import Layout
from rethink_fr.drawn_faces.light import Light, Points
from rethink_fr.drawn_faces.noise import Noise, Vector, dot, norm, put, ramp
from rethink_fr.drawn_faces.person import Person
from rethink_fr.drawn_faces.scene import CAMERA_DISTANCE, Glasses, View, background, picture_rays
from rethink_fr.drawn_faces.shape import CHART_SCALE, EYEBALL_RADIUS, HeadSurface, eyeball, gaze_direction
from rethink_fr.drawn_faces.shot import Shot

_COARSE = 36  # rays on a side of the picture in the first, coarse search for the head
_BAND = 1 << 14  # rays worked on at a time, so that their vectors stay in the processor's cache


class FaceRenderer:
    """Renders one shot at one size.

    Args:
        person, shot: who and what is drawn.
        layout, surface: the head that results from them.
        view: where the camera and the picture are.
        size: side of the picture, in pixels.
    """

    def __init__(self, person: Person, shot: Shot, layout: Layout, surface: HeadSurface, view: View, size: int) -> None:
        self.person, self.shot, self.layout, self.surface, self.view = person, shot, layout, surface, view
        self.size = size
        self.noise = Noise(view.side / size, person.texture_offset)
        self.light = Light(shot, view.rotation, surface)
        self.parts = body_parts(person, shot, view.rotation)
        self.body = BodyPainter(person, shot, self.light, view.rotation, self.noise)
        rims_z = float(surface.point(np.array([0.0]), np.array([-0.55]))[2, 0]) + 0.10
        self.glasses = Glasses(person, shot, self.light.direction, rims_z, layout.eye_t[0] + 0.05)

    def render(self) -> np.ndarray:
        """Render the picture, uint8 [size, size, 3]: the mean of four rays for each pixel, then the film curve."""
        size, side = self.size, 2 * self.size
        coarse = self._coarse_distances()
        band = max(2, _BAND // side // 2 * 2)
        film = np.empty((3, size, size), np.float32)
        for first in range(0, side, band):
            rows = np.arange(first, min(first + band, side))
            light = self._trace(rows, coarse).reshape(3, rows.size // 2, 2, size, 2)
            light = light[:, :, 0] + light[:, :, 1]
            film[:, first // 2 : first // 2 + rows.size // 2] = light[..., 0] + light[..., 1]
        film *= np.float32(0.25 * 1.15 * self.shot.exposure)
        # A film curve: linear in the shadows, rolling off to white; then the display's gamma.
        film = film * (0.85 + film * 0.5) / (1.0 + film * (0.75 + film * 0.37))
        film = np.clip(film, 0.0, 1.0) ** np.float32(1.0 / 2.2)
        return np.ascontiguousarray((film * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def _coarse_distances(self) -> np.ndarray:
        """For each cell of a coarse grid a distance before the head, inf if all its rays miss: [_COARSE, _COARSE]."""
        origin, rays, _ = picture_rays(self.view, np.arange(_COARSE), _COARSE)
        start = np.full(rays.shape[1], CAMERA_DISTANCE - self.surface.reach, np.float32)
        distance, gap = self.surface.cast(origin, rays, start, steps=11, settle=False)
        met = (gap < 0.25) & (distance < CAMERA_DISTANCE + 3.0)
        return ndimage.minimum_filter(np.where(met, distance, np.inf).reshape(_COARSE, _COARSE), 3) - 0.15

    def _trace(self, rows: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        """The light that arrives along the rays of these rows, float32 [3, N]."""
        side = 2 * self.size
        origin, rays, plane = picture_rays(self.view, rows, side)
        light = background(self.shot, plane)
        cells = np.minimum(((np.arange(side) + 0.5) * (_COARSE / side)).astype(np.intp), _COARSE - 1)
        start = coarse[cells[rows]][:, cells].ravel()
        nearest = np.full(rays.shape[1], np.inf, np.float32)
        owner = np.full(rays.shape[1], -1, np.int8)
        near_head = np.flatnonzero(start < np.inf)
        if near_head.size:
            distance, gap = self.surface.cast(
                origin, rays.take(near_head, axis=1), start.take(near_head), steps=6, settle=True
            )
            met = np.flatnonzero(np.abs(gap) < 0.03)
            near_head = near_head.take(met)
            nearest[near_head] = distance.take(met)
            owner[near_head] = len(self.parts)
        for index, part in enumerate(self.parts):
            chosen, distance = part.meet(origin, rays)
            closer = np.flatnonzero(distance < nearest.take(chosen))
            chosen = chosen.take(closer)
            nearest[chosen] = distance.take(closer)
            owner[chosen] = index
        for index in range(len(self.parts) + 1):
            chosen = np.flatnonzero(owner == index)
            if chosen.size:
                ray = rays.take(chosen, axis=1)
                position = origin[:, None] + ray * nearest.take(chosen)
                if index == len(self.parts):
                    put(light, chosen, self._head(position, ray))
                else:
                    put(light, chosen, self.body.paint(self.parts[index], position, ray))
        if self.shot.wears_glasses:
            self.glasses.draw(origin, rays, nearest, light)
        return light

    def _head(self, position: np.ndarray, ray: np.ndarray) -> np.ndarray:
        """The light from points of the head: skin, and hair over it."""
        u, v, normal, cavity = self.surface.describe(position)
        points = self.light.meet(position, normal, ray)
        cover, albedo, tangent = hair_colours(self.person, position / norm(position), self.noise)
        out = np.empty_like(position)
        bare = np.flatnonzero(cover < 0.995)
        if bare.size:
            s, t = CHART_SCALE * u.take(bare), CHART_SCALE * v.take(bare)
            put(out, bare, self._face(points.take(bare), s, t, cavity.take(bare)))
        grown = np.flatnonzero(cover > 0.005)
        if grown.size:
            open_sky = np.clip(1.0 - 2.0 * cavity.take(grown), 0.3, 1.1)
            hair = self.light.reflect_hair(
                points.take(grown), albedo.take(grown, axis=1), tangent.take(grown, axis=1), open_sky
            )
            cover = cover.take(grown)
            partly = np.flatnonzero(cover < 0.995)
            under = out.take(grown.take(partly), axis=1)
            put(hair, partly, under + (hair.take(partly, axis=1) - under) * cover.take(partly))
            put(out, grown, hair)
        return out

    def _face(self, points: Points, s: Vector, t: Vector, cavity: Vector) -> np.ndarray:
        """The light from skin, mouth and eyes at positions (s, t) in the chart."""
        layout = self.layout
        albedo, gloss = face_paint.skin(self.person, layout, s, t, self.noise)
        open_sky = np.clip(1.0 - 2.2 * cavity, 0.25, 1.15)
        if layout.gap_low > 0.0:
            mouth = np.flatnonzero((np.abs(s) < layout.mouth_half_width) & (np.abs(t - layout.mouth_t - 0.1) < 0.4))
            cover, inside = eyes_mouth.mouth_inside(layout, s.take(mouth), t.take(mouth))
            lips = albedo.take(mouth, axis=1)
            put(albedo, mouth, lips + (inside - lips) * cover)
            gloss[mouth] *= 1.0 - 0.5 * cover
            open_sky[mouth] *= 1.0 - 0.3 * cover
        out = self.light.reflect(points, albedo, gloss, open_sky)
        for eye in (0, 1):
            near = (np.abs(s - layout.eye_s[eye]) < layout.eye_half_width) & (np.abs(t - layout.eye_t[eye]) < 0.28)
            chosen = np.flatnonzero(near)
            cover, outward, depth = eyes_mouth.eye_cover(layout, eye, s.take(chosen), t.take(chosen))
            shown = np.flatnonzero(cover > 0.004)
            if shown.size:
                chosen = chosen.take(shown)
                ball = self._eyeball(eye, points.take(chosen), outward.take(shown), depth.take(shown))
                lids = out.take(chosen, axis=1)
                put(out, chosen, lids + (ball - lids) * cover.take(shown))
        if self.shot.wears_glasses:
            out *= 1.0 - 0.4 * self.glasses.shade(points.position)
        return out

    def _eyeball(self, eye: int, points: Points, outward: Vector, depth: Vector) -> np.ndarray:
        """The light from the eyeball behind points where an eye is open.

        `outward` is the place between the corners of the eye, -1 inner to 1 outer; `depth` is the distance below the
        upper lid.
        """
        ray = points.ray
        from_centre = points.position - eyeball(self.surface, self.layout, eye).astype(np.float32)[:, None]
        along = dot(from_centre, ray)
        inside = along * along - dot(from_centre, from_centre) + np.float32(EYEBALL_RADIUS**2)
        ball = from_centre - ray * (along + np.sqrt(np.maximum(inside, 0.0)))
        ball /= norm(ball)
        gaze = gaze_direction(self.shot)
        albedo = eyes_mouth.eye_colours(self.person, gaze, ball, outward, depth, self.noise)
        shading = ball + points.normal
        shading /= norm(shading)
        out = self.light.reflect(Points(points.position, shading, ray, points.lit), albedo, 0.3, 0.85, 0.8)
        gaze_column = gaze.astype(np.float32)[:, None]
        # The cornea is more curved than the white of the eye, so it mirrors a wider field.
        cornea = ball + 0.45 * (ball - gaze_column) * (gaze_column[:, 0] @ ball > 0.86)
        cornea /= norm(cornea)
        mirrored = ray - 2.0 * cornea * dot(cornea, ray)
        # Reflections in the eye: a square lamp near the direction of the key light, and a broad dim sky over it.
        lamp = np.array([0.55 * self.shot.light[0], 0.55 * self.shot.light[1] - 0.25, 0.9])
        lamp = (self.view.rotation.T @ (lamp / np.linalg.norm(lamp))).astype(np.float32)
        off = np.maximum(np.abs(mirrored[0] - lamp[0]), np.abs(mirrored[1] - lamp[1]))
        window = ramp(0.19 - off, 0.08) * 2.4 + 0.10 * ramp(self.light.up @ mirrored - 0.1, 0.5)
        return out + self.light.colour * (window * ramp(depth, 0.05))
