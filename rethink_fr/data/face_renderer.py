"""Rays, lights and the film: turns a person, a shot and the head's surface into pixels.

A perspective camera stands `CAMERA_DISTANCE` head units in front of the head. The picture plane goes through the head's
origin; `View` maps it to the square picture by a similarity. Light is linear until the film curve at the very end.
Camera frame: x to the image's right, y down, z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np
from scipy import ndimage

from rethink_fr.data import face_paint
from rethink_fr.data.face_paint import Noise, ramp
from rethink_fr.data.face_shape import CHART_SCALE, EYEBALL_RADIUS, HeadSurface, Layout, eyeball, gaze_direction
from rethink_fr.data.face_traits import Person, Shot, generator

CAMERA_DISTANCE = 11.0
_COARSE = 44  # rays along a side of the first, coarse search for the head
_BAND = 1 << 14  # rays worked on at a time: their vectors stay in the processor's cache


@dataclass(frozen=True)
class View:
    """Where the picture lies: `plane = corner + matrix @ (x, y)` with x, y in 0..1 over the picture."""

    rotation: np.ndarray  # float64 [3, 3], head frame -> camera frame
    corner: np.ndarray  # float64 [2]
    matrix: np.ndarray  # float64 [2, 2]

    @property
    def side(self) -> float:
        """Length of the picture's side on the picture plane, head units."""
        return float(np.hypot(*self.matrix[:, 0]))


def head_rotation(shot: Shot) -> np.ndarray:
    """float64 [3, 3]: head frame to camera frame, pitch first, then yaw."""
    cos_yaw, sin_yaw = np.cos(shot.yaw), np.sin(shot.yaw)
    cos_pitch, sin_pitch = np.cos(shot.pitch), np.sin(shot.pitch)
    yaw = np.array([[cos_yaw, 0.0, sin_yaw], [0.0, 1.0, 0.0], [-sin_yaw, 0.0, cos_yaw]])
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cos_pitch, sin_pitch], [0.0, -sin_pitch, cos_pitch]])
    return yaw @ pitch


def project(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """float64 [2, N]: picture plane positions of head frame points [3, N]."""
    seen = rotation @ points
    return seen[:2] * (CAMERA_DISTANCE / (CAMERA_DISTANCE - seen[2]))


@dataclass(frozen=True)
class _Ellipsoid:
    """A body part: the points p with |frame @ (p - centre)| = 1, head frame."""

    name: str
    centre: np.ndarray
    frame: np.ndarray

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distances along the rays [3, N] to the near side, inf where missed."""
        o, d = (self.frame @ (origin - self.centre)).astype(np.float32), self.frame.astype(np.float32) @ rays
        a, b, c = np.sum(d * d, axis=0), o @ d, o @ o - 1.0
        inside = b * b - a * c
        return np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0.0))) / a, np.inf).astype(np.float32)


def _axes(x: float, y: float, z: float, rotation: np.ndarray) -> np.ndarray:
    return np.diag([1.0 / x, 1.0 / y, 1.0 / z]) @ rotation


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])


def _body(person: Person, shot: Shot, rotation: np.ndarray) -> List[_Ellipsoid]:
    """Ears, neck, torso and long hair of one shot, head frame."""
    parts = []
    joint = rotation @ np.array([0.0, 1.0, -0.50])
    broad = 0.76 + 0.14 * person.masculinity + 0.04 * person.fullness
    neck = joint + np.array([0.0, 0.9, -0.10])
    parts.append(_Ellipsoid("neck", rotation.T @ neck, _axes(broad, 2.6, broad * 0.95, rotation)))
    torso = np.array([0.4 * joint[0], joint[1] + 3.55, joint[2] - 0.1])
    wide = 2.9 + 0.6 * person.masculinity
    parts.append(_Ellipsoid("torso", rotation.T @ torso, _axes(wide, 2.55, 1.35, _turn(shot.body_yaw) @ rotation)))
    style = person.hair_style
    if style in ("bob", "long", "wavy"):
        low = 1.55 if style == "bob" else 2.9
        hanging = np.array([0.0, -0.3, -0.75])
        volume = 1.42 + 0.22 * person.hair_volume
        parts.append(_Ellipsoid("locks", hanging, _axes(volume, low, 0.85, np.eye(3))))
    elif style != "fringe":
        for side in (-1.0, 1.0):
            size = person.ear_size
            centre = np.array([side * 1.40 * person.head_width, -0.30, -0.02])
            frame = _axes(0.10 * size, 0.43 * size, 0.25 * size, _turn(side * person.ear_angle))
            parts.append(_Ellipsoid("ear", centre, frame))
    return parts


def _coarse_distances(surface: HeadSurface, view: View) -> np.ndarray:
    """float32 [_COARSE, _COARSE]: a distance safely before the head for the rays of each cell, inf where they miss."""
    origin, rays, _ = _rays(view, np.arange(_COARSE), _COARSE)
    o, d = origin.astype(np.float32), rays
    start = np.full(d.shape[1], CAMERA_DISTANCE - surface.reach, np.float32)
    distance, gap = surface.cast(o, (d[0], d[1], d[2]), start, 14)
    distance = np.where((gap < 0.25) & (distance < CAMERA_DISTANCE + 3.0), distance, np.inf).reshape(_COARSE, _COARSE)
    near = ndimage.minimum_filter(distance, 3)
    return near - 0.15


def _rays(view: View, rows: np.ndarray, side: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Camera position, unit rays [3, N] in the head frame, and picture plane positions [2, N] of whole pixel rows."""
    x = ((np.arange(side) + 0.5) / side).astype(np.float32)
    y = ((rows + 0.5) / side).astype(np.float32)
    m, corner = view.matrix.astype(np.float32), view.corner.astype(np.float32)
    plane = np.empty((2, rows.size, side), np.float32)
    for axis in (0, 1):
        plane[axis] = corner[axis] + m[axis, 0] * x[None, :] + m[axis, 1] * y[:, None]
    plane = plane.reshape(2, -1)
    to_head = view.rotation.T.astype(np.float32)
    rays = to_head[:, :2] @ plane - np.float32(CAMERA_DISTANCE) * to_head[:, 2:3]
    rays /= np.sqrt(np.sum(rays * rays, axis=0))
    return view.rotation.T @ np.array([0.0, 0.0, CAMERA_DISTANCE]), rays, plane


class FaceRenderer:
    """Renders one shot; `render(size)` may be called for several sizes.

    Args:
        person, shot: what is seen.
        layout, surface: the head that they make.
        view: where the camera and the picture lie.
    """

    def __init__(self, person: Person, shot: Shot, layout: Layout, surface: HeadSurface, view: View) -> None:
        self.person, self.shot, self.layout, self.surface, self.view = person, shot, layout, surface, view
        self.parts = _body(person, shot, view.rotation)
        self.light = (view.rotation.T @ np.array(shot.light)).astype(np.float32)
        self.up = (view.rotation.T @ np.array([0.0, -1.0, 0.0])).astype(np.float32)
        rim = np.array([0.85 * shot.rim_side, -0.35, -0.55])
        self.rim = (view.rotation.T @ (rim / np.linalg.norm(rim))).astype(np.float32)
        self.glasses_z = float(surface.point(np.array([0.0]), np.array([-0.55]))[2, 0]) + 0.10
        self.glasses_y = layout.eye_t[0] + 0.05

    def render(self, size: int) -> np.ndarray:
        """uint8 [size, size, 3]: four rays a pixel, averaged in linear light, then the film curve."""
        side = 2 * size
        noise = Noise(self.view.side / size, self.person.texture_offset)
        coarse = _coarse_distances(self.surface, self.view)
        band = max(2, _BAND // side // 2 * 2)
        film = np.empty((3, size, size), np.float32)
        for first in range(0, side, band):
            rows = np.arange(first, min(first + band, side))
            colours = self._trace(rows, side, coarse, noise).reshape(3, rows.size // 2, 2, size, 2)
            film[:, first // 2 : first // 2 + rows.size // 2] = colours.mean(axis=(2, 4))
        exposed = film * np.float32(1.25 * self.shot.exposure)
        # A film curve: linear in the shadows, rolling off to white; then the display's gamma.
        toned = exposed * (1.0 + exposed * 0.18) / (1.0 + exposed)
        toned = np.clip(toned * 1.35, 0.0, 1.0) ** np.float32(1.0 / 2.2)
        return np.ascontiguousarray((toned * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def _trace(self, rows: np.ndarray, side: int, coarse: np.ndarray, noise: Noise) -> np.ndarray:
        """float32 [3, N]: light that arrives along every ray of these rows."""
        origin, rays, plane = _rays(self.view, rows, side)
        o = origin.astype(np.float32)
        cells = np.minimum(((np.arange(side) + 0.5) * (_COARSE / side)).astype(int), _COARSE - 1)
        start = coarse[cells[rows]][:, cells].ravel()
        nearest = np.full(rays.shape[1], np.inf, np.float32)
        owner = np.full(rays.shape[1], -1, np.int8)
        candidates = np.flatnonzero(np.isfinite(start))
        if candidates.size:
            d = rays[:, candidates]
            distance, gap = self.surface.cast(o, (d[0], d[1], d[2]), start[candidates].astype(np.float32), 7)
            hit = np.abs(gap) < 0.03
            nearest[candidates[hit]] = distance[hit]
            owner[candidates[hit]] = 0
        for index, part in enumerate(self.parts):
            distance = part.meet(origin, rays)
            closer = distance < nearest
            nearest[closer] = distance[closer]
            owner[closer] = index + 1
        colours = self._background(plane)
        for index in range(len(self.parts) + 1):
            chosen = np.flatnonzero(owner == index)
            if chosen.size:
                ray = rays[:, chosen]
                point = o[:, None] + ray * nearest[chosen]
                part = None if index == 0 else self.parts[index - 1]
                colours[:, chosen] = self._head(point, ray, noise) if part is None else self._part(part, point, ray, noise)
        if self.shot.wears_glasses:
            self._glasses(o, rays, nearest, colours)
        return colours

    def _shadow(self, point: np.ndarray, normal: np.ndarray, facing: np.ndarray) -> np.ndarray:
        """float32 [N]: how much of the key light reaches points, by a short march towards it through the head's surface."""
        seen = np.ones(point.shape[1], np.float32)
        lit = np.flatnonzero(facing > -0.25)
        if lit.size == 0:
            return seen
        p, n, light = point[:, lit], normal[:, lit], self.light
        free = np.ones(lit.size, np.float32)
        for step in (0.07, 0.15, 0.27, 0.45, 0.75, 1.2):
            x, y, z = (p[axis] + 0.03 * n[axis] + step * light[axis] for axis in range(3))
            free = np.minimum(free, self.surface.clearance(x, y, z) * (1.0 / (0.05 + 0.22 * step)) + 0.55)
        seen[lit] = np.clip(free, 0.0, 1.0)
        return seen

    def _shade(
        self,
        point: np.ndarray,
        normal: np.ndarray,
        ray: np.ndarray,
        albedo: np.ndarray,
        gloss: "np.ndarray | float",
        open_sky: "np.ndarray | float" = 1.0,
        soft: float = 1.0,
        shadowed: bool = True,
    ) -> np.ndarray:
        """float32 [3, N]: reflected light. `soft` = 1 lets light bleed past the shadow's edge, reddish, as in skin."""
        shot = self.shot
        key = 3.4 * np.array(shot.light_colour, np.float32)
        facing = self.light @ normal
        seen = self._shadow(point, normal, facing) if shadowed else np.ones_like(facing)
        over = 0.5 + 0.5 * (self.up @ normal)
        shine = self.light[:, None] - ray
        shine /= np.sqrt(np.sum(shine * shine, axis=0))
        aligned = np.maximum(np.sum(shine * normal, axis=0), 0.0)
        glancing = 1.0 + np.minimum(np.sum(ray * normal, axis=0), 0.0)
        fresnel = 0.04 + 0.5 * glancing**4
        lobes = 0.55 * aligned**14 + 1.5 * aligned**60
        highlight = gloss * (seen * np.maximum(facing, 0.0) * lobes * (0.10 + fresnel))
        rim = np.maximum(self.rim @ normal, 0.0) * shot.rim * (0.5 + 2.0 * gloss * fresnel)
        out = np.empty_like(albedo)
        for channel, bleed in enumerate((0.30, 0.14, 0.09)):
            wrap = bleed * soft
            diffuse = np.maximum(facing + wrap, 0.0) * (1.0 / (1.0 + wrap)) * (seen ** (1.0 - 0.5 * wrap))
            ambient = (shot.ground[channel] + (shot.sky[channel] - shot.ground[channel]) * over) * open_sky
            sheen = ambient * (gloss * fresnel * 0.35)
            out[channel] = albedo[channel] * (key[channel] * diffuse + ambient + rim) + key[channel] * highlight + sheen
        return out

    def _head(self, point: np.ndarray, ray: np.ndarray, noise: Noise) -> np.ndarray:
        person, layout = self.person, self.layout
        u, v, normal, cavity = self.surface.describe(point[0], point[1], point[2])
        direction = point / np.sqrt(np.sum(point * point, axis=0))
        s, t = CHART_SCALE * u, CHART_SCALE * v
        cover, hair_colours, tangent = face_paint.hair(person, direction, noise)
        out = np.empty_like(point)
        bare = np.flatnonzero(cover < 0.995)
        if bare.size:
            out[:, bare] = self._face(point[:, bare], normal[:, bare], ray[:, bare], s[bare], t[bare], cavity[bare], noise)
        grown = np.flatnonzero(cover > 0.005)
        if grown.size:
            lit = self._hair_light(
                point[:, grown], normal[:, grown], ray[:, grown], hair_colours[:, grown], tangent[:, grown], cavity[grown]
            )
            weight = cover[grown]
            out[:, grown] = lit if bare.size == 0 else np.where(weight > 0.995, lit, out[:, grown] + (lit - out[:, grown]) * weight)
        return out

    def _hair_light(
        self, point: np.ndarray, normal: np.ndarray, ray: np.ndarray, albedo: np.ndarray, tangent: np.ndarray, cavity: np.ndarray
    ) -> np.ndarray:
        """Diffuse light plus the highlight of fibres (Kajiya and Kay 1989): bright where the half vector is across them."""
        lit = self._shade(point, normal, ray, albedo, 0.05, np.clip(1.0 - 2.0 * cavity, 0.3, 1.1), soft=0.6)
        half = self.light[:, None] - ray
        half /= np.sqrt(np.sum(half * half, axis=0))
        along = np.sum(half * tangent, axis=0)
        band = np.maximum(1.0 - along * along, 0.0) ** 24 * np.maximum(self.light @ normal, 0.0)
        mean = albedo.mean(axis=0)
        key = 3.4 * np.array(self.shot.light_colour, np.float32)[:, None]
        return lit + key * band * (0.35 * albedo + 0.05 * mean / (mean + 0.05))

    def _face(
        self,
        point: np.ndarray,
        normal: np.ndarray,
        ray: np.ndarray,
        s: np.ndarray,
        t: np.ndarray,
        cavity: np.ndarray,
        noise: Noise,
    ) -> np.ndarray:
        person, layout = self.person, self.layout
        albedo, gloss = face_paint.skin(person, layout, s, t, noise)
        sky = np.clip(1.0 - 2.2 * cavity, 0.25, 1.15)
        near_mouth = np.flatnonzero((np.abs(s) < layout.mouth_half_width) & (np.abs(t - layout.mouth_t - 0.1) < 0.4))
        if layout.gap_low > 0.0 and near_mouth.size:
            inside, inner = face_paint.mouth_inside(layout, s[near_mouth], t[near_mouth])
            albedo[:, near_mouth] += (inner - albedo[:, near_mouth]) * inside
            gloss[near_mouth] *= 1.0 - 0.5 * inside
            sky[near_mouth] *= 1.0 - 0.3 * inside
        out = self._shade(point, normal, ray, albedo, gloss, sky)
        for eye in (0, 1):
            self._eye(eye, point, normal, ray, s, t, noise, out)
        if self.shot.wears_glasses:
            out *= 1.0 - 0.5 * self._frame_cover(*self._towards_light_at_glasses(point))
        return out

    def _eye(
        self,
        eye: int,
        point: np.ndarray,
        normal: np.ndarray,
        ray: np.ndarray,
        s: np.ndarray,
        t: np.ndarray,
        noise: Noise,
        out: np.ndarray,
    ) -> None:
        layout = self.layout
        near = np.flatnonzero(
            (np.abs(s - layout.eye_s[eye]) < layout.eye_half_width) & (np.abs(t - layout.eye_t[eye]) < 0.28)
        )
        if near.size == 0:
            return
        cover, outward, depth = face_paint.eye_cover(layout, eye, s[near], t[near])
        shown = np.flatnonzero(cover > 0.004)
        if shown.size == 0:
            return
        near, cover, outward, depth = near[shown], cover[shown], outward[shown], depth[shown]
        ray = ray[:, near]
        centre = eyeball(self.surface, layout, eye).astype(np.float32)[:, None]
        from_centre = point[:, near] - centre
        b = np.sum(from_centre * ray, axis=0)
        inside = b * b - np.sum(from_centre * from_centre, axis=0) + EYEBALL_RADIUS**2
        ball = from_centre - ray * (b + np.sqrt(np.maximum(inside, 0.0)))
        ball /= np.sqrt(np.sum(ball * ball, axis=0))
        gaze = gaze_direction(self.shot)
        albedo = face_paint.eye_colours(self.person, gaze, ball, outward, depth, noise)
        shade = 0.5 * (ball + normal[:, near])
        shade /= np.sqrt(np.sum(shade * shade, axis=0))
        lit = self._shade(point[:, near], shade, ray, albedo, 0.3, 0.85, soft=0.8)
        cornea = ball + 0.45 * (ball - gaze.astype(np.float32)[:, None]) * (gaze.astype(np.float32) @ ball > 0.86)
        cornea /= np.sqrt(np.sum(cornea * cornea, axis=0))
        # Catch-lights: a square key light and a broad dim one over it, mirrored in the cornea.
        mirrored = ray - 2.0 * cornea * np.sum(cornea * ray, axis=0)
        lamp = np.array([0.55 * self.shot.light[0], 0.55 * self.shot.light[1] - 0.25, 0.9])
        lamp = (self.view.rotation.T @ (lamp / np.linalg.norm(lamp))).astype(np.float32)[:, None]
        off = np.abs(mirrored - lamp)
        window = ramp(0.30 - np.max(off[:2], axis=0), 0.10) * 2.2 + 0.10 * ramp(self.up @ mirrored - 0.1, 0.5)
        lit += np.array(self.shot.light_colour, np.float32)[:, None] * window * ramp(depth, 0.05)
        out[:, near] += (lit - out[:, near]) * cover

    def _part(self, part: _Ellipsoid, point: np.ndarray, ray: np.ndarray, noise: Noise) -> np.ndarray:
        person, shot = self.person, self.shot
        local = part.frame.astype(np.float32) @ (point - part.centre.astype(np.float32)[:, None])
        normal = part.frame.T.astype(np.float32) @ local
        normal /= np.sqrt(np.sum(normal * normal, axis=0))
        if part.name == "locks":
            return self._locks(point, normal, ray, local, noise)
        if part.name == "ear":
            ring = np.sqrt(local[1] ** 2 + local[2] ** 2)
            groove = np.exp(-(((ring - 0.66) / 0.12) ** 2)) + 0.8 * ramp(0.42 - ring, 0.25)
            albedo = np.array(person.skin, np.float32)[:, None] * (1.0 - 0.45 * np.minimum(groove, 1.0))
            albedo *= np.array([1.06, 0.88, 0.86], np.float32)[:, None]
            return self._shade(point, normal, ray, albedo, 0.4, 1.0 - 0.35 * np.minimum(groove, 1.0))
        seen = self.view.rotation.astype(np.float32) @ point
        tone = 1.0 + 0.04 * noise(seen[0], seen[1], 6.0, 6.0) + 0.03 * noise(seen[0], seen[1], 40.0, 40.0)
        albedo = np.array(person.skin, np.float32)[:, None] * (0.93 * tone)
        gloss = np.full(point.shape[1], 0.35 * person.gloss, np.float32)
        joint = self.view.rotation @ np.array([0.0, 1.0, -0.50])
        cloth = self._cloth(part, seen, joint)
        tint = np.array(shot.clothes_colours[0], np.float32)[:, None] * (1.0 + 0.10 * noise(seen[0], seen[1], 60.0, 60.0))
        if shot.clothes_pattern > 0.0:
            wave = np.sin(shot.clothes_pattern * 3.0 * (seen[0] if shot.clothes_pattern < 5.0 else seen[1] - 0.15 * seen[0] ** 2))
            tint = tint + (np.array(shot.clothes_colours[1], np.float32)[:, None] - tint) * ramp(wave, 0.3)
        crumple = noise(seen[0], seen[1], 1.6, 0.9)
        tint = tint * (1.0 + 0.16 * crumple)
        albedo += (tint - albedo) * cloth
        gloss *= 1.0 - 0.8 * cloth
        deep = np.clip((seen[1] - joint[1]) * 0.7 + 0.25, 0.35, 1.0)
        return self._shade(point, normal, ray, albedo, gloss, deep)

    def _cloth(self, part: _Ellipsoid, seen: np.ndarray, joint: np.ndarray) -> np.ndarray:
        """float32 [N]: cover of clothes on neck and torso."""
        style = self.shot.clothes_style
        x, y = seen[0] - 0.6 * joint[0], seen[1] - joint[1]
        away = np.sqrt(x * x + (1.2 * (seen[2] - joint[2])) ** 2)
        if part.name == "neck":
            if style == "turtle":
                return ramp(y - 0.55, 0.03)
            return ramp(y - (0.75 if style == "shirt" else 1.25) - 0.15 * x * x - (0.5 * (1.0 - np.abs(x)) if style == "shirt" else 0.0), 0.03)
        if style == "v_neck":
            return ramp(np.maximum(away - 1.25, np.abs(x) - 0.9 + 0.45 * (y - 0.9)), 0.03)
        return ramp(away - (0.95 if style in ("shirt", "turtle") else 1.15), 0.03)

    def _locks(self, point: np.ndarray, normal: np.ndarray, ray: np.ndarray, local: np.ndarray, noise: Noise) -> np.ndarray:
        bend = 0.05 * noise(local[0], local[1], 2.0, 2.0)
        if self.person.hair_style == "wavy":
            bend = bend + 0.06 * np.sin(7.0 * point[1])
        across = point[0] + bend
        strands = 0.8 * noise(across, point[1], 7.0, 0.6) + 0.8 * noise(across, point[1], 20.0, 1.2)
        strands = strands + 0.6 * noise(across, point[1], 60.0, 2.0)
        albedo = np.array(self.person.hair, np.float32)[:, None] * np.clip(1.0 + 0.32 * strands, 0.25, 2.2)
        tangent = np.zeros_like(point)
        tangent[1] = 1.0
        return self._hair_light(point, normal, ray, albedo, tangent, np.full(point.shape[1], 0.15, np.float32))

    def _background(self, plane: np.ndarray) -> np.ndarray:
        """float32 [3, N]: what lies behind, out of focus, at picture plane positions [2, N]."""
        shot = self.shot
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
            bars = np.sin((x + shift) * (3.1 / width)) + 0.6 * np.sin((x + shift) * (1.27 / width) + np.round(y * 2.1) * 2.0)
            out = out + (third - out) * ramp(bars, 0.7)
            out = out * (0.35 + 0.65 * ramp(np.abs(np.sin(y * 3.3 + shift)) - 0.08, 0.2))
        return out.astype(np.float32, copy=False)

    def _frame_cover(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """float32 [N]: cover of the glasses' rims and bridge at positions on their plane."""
        size, thick = self.person.glasses_size
        style = self.person.glasses_style
        spread = 0.62 * self.person.eye_spacing
        side = np.abs(x)
        wide, high, power = {"round": (0.42, 0.42, 2.0), "square": (0.50, 0.36, 5.0), "oval": (0.49, 0.33, 2.5)}[style]
        reach = (np.abs((side - spread) / (wide * size)) ** power + np.abs((y - self.glasses_y) / (high * size)) ** power) ** (
            1.0 / power
        )
        rim = ramp(thick - np.abs(reach - 1.0) * (high * size), 0.012)
        bridge = ramp(thick * 0.8 - np.abs(y - self.glasses_y + 0.10 - 0.5 * x * x), 0.012) * (side < spread - wide * size + 0.02)
        return np.maximum(rim, bridge)

    def _towards_light_at_glasses(self, point: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """x and y where the way from points to the key light crosses the glasses' plane (far away if it does not)."""
        step = (self.glasses_z - point[2]) / max(float(self.light[2]), 0.05)
        far = np.where(step > 0.0, 0.0, 50.0)
        return point[0] + self.light[0] * step + far, point[1] + self.light[1] * step

    def _glasses(self, origin: np.ndarray, rays: np.ndarray, nearest: np.ndarray, colours: np.ndarray) -> None:
        """Lay rims and side pieces over `colours`, hidden where `nearest` is nearer."""
        distance = (self.glasses_z - origin[2]) / np.minimum(rays[2], -1e-3)
        x, y = origin[0] + rays[0] * distance, origin[1] + rays[1] * distance
        chosen = np.flatnonzero((np.abs(x) < 1.35) & (np.abs(y - self.glasses_y) < 0.6) & (distance < nearest))
        tint = np.array(self.person.glasses_colour, np.float32)[:, None]
        light = np.array(self.shot.light_colour, np.float32)[:, None] + np.array(self.shot.sky, np.float32)[:, None]
        if chosen.size:
            cover = self._frame_cover(x[chosen], y[chosen])
            sheen = 0.05 + 0.10 * ramp(np.sin(7.0 * x[chosen] + 11.0 * y[chosen]) - 0.6, 0.4)
            colours[:, chosen] += ((tint + sheen * 0.4) * light - colours[:, chosen]) * cover
        end_z, edge = self.glasses_z, 0.62 * self.person.eye_spacing + 0.47 * self.person.glasses_size[0]
        for side in (-1.0, 1.0):
            distance = (side * (edge + 0.0) - origin[0]) / np.where(np.abs(rays[0]) < 1e-4, 1e-4, rays[0])
            y, z = origin[1] + rays[1] * distance, origin[2] + rays[2] * distance
            on = (np.abs(y - self.glasses_y + 0.12) < 0.045) & (z < end_z) & (z > -0.2) & (distance < nearest + 0.02) & (distance > 0)
            colours[:, on] = (tint * light * 0.8)
