"""The built-in data set: faces drawn by arithmetic, so that training and tests need no download.

A face depends on three numbers only. The identity decides the person; the picture decides pose, expression, light and
surroundings; the size decides how finely the same scene is sampled. Faces are framed as in FFHQ (Karras et al. 2019,
arXiv:1812.04948): the positions of eyes and mouth decide the crop, plus a small random shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rethink_fr.drawn_faces.layout import lay_out
from rethink_fr.drawn_faces.person import draw_person
from rethink_fr.drawn_faces.renderer import FaceRenderer
from rethink_fr.drawn_faces.scene import View, head_rotation, project
from rethink_fr.drawn_faces.shape import LANDMARK_NAMES, HeadSurface, landmark_points
from rethink_fr.drawn_faces.shot import Shot, draw_shot

__all__ = ["LANDMARK_NAMES", "DrawnFace", "draw_face"]

MIN_SIZE, MAX_SIZE = 16, 2048


@dataclass(frozen=True)
class DrawnFace:
    """One drawn face.

    Landmarks are (x, y) in pixels from the top left corner of the picture, x to the right, y down; the centre of the
    pixel in column c and row r is (c + 0.5, r + 0.5). Their order is that of `LANDMARK_NAMES`; "left" and "right" are
    as seen in the picture. They are projections of points that the renderer draws, which hair, glasses or the head
    itself may hide. They scale exactly with the size within the sizes up to 128 pixels, and within those above. Between
    these ranges they differ by a fraction of a pixel, because the head is sampled more finely above 128 pixels.
    """

    image: np.ndarray  # uint8 [size, size, 3], RGB
    landmarks: np.ndarray  # float32 [L, 2]
    identity: int


def draw_face(identity: int, picture: int, size: int) -> DrawnFace:
    """Draw one picture of one person.

    Example:
        >>> draw_face(identity=7, picture=0, size=256).image.shape
        (256, 256, 3)

    Args:
        identity: number of the person, 0 or more. Numbers that follow each other are unrelated people.
        picture: number of the picture of this person, 0 or more.
        size: side of the picture in pixels, 16 to 2048.

    Raises:
        ValueError: if a number is out of range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(
            f"draw_face: size is {size}, expected {MIN_SIZE}..{MAX_SIZE} pixels. Common sizes are 64 to 512."
        )
    if identity < 0 or picture < 0:
        raise ValueError(f"draw_face: identity {identity}, picture {picture}; expected both to be 0 or more.")
    person = draw_person(identity)
    shot = draw_shot(identity, picture, person)
    layout = lay_out(person, shot)
    surface = HeadSurface(person, shot, layout, resolution=128 if size <= 128 else 256)
    rotation = head_rotation(shot)
    plane = project(landmark_points(surface, layout, shot), rotation)
    view = _frame(plane, rotation, shot)
    landmarks = np.linalg.solve(view.matrix, plane - view.corner[:, None]) * size
    image = FaceRenderer(person, shot, layout, surface, view, size).render()
    return DrawnFace(image, landmarks.T.astype(np.float32), identity)


def _frame(plane: np.ndarray, rotation: np.ndarray, shot: Shot) -> View:
    """The crop of FFHQ for landmarks on the picture plane [2, L], shifted at random by the shot."""
    left_eye, right_eye, _, mouth_left, mouth_right = plane[:, :5].T
    eyes, mouth = 0.5 * (left_eye + right_eye), 0.5 * (mouth_left + mouth_right)
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    # Along the eyes and across the line from eyes to mouth, so that one crooked feature does not tilt the crop.
    axis = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    half = max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth))
    log_scale, angle, shift_x, shift_y = shot.framing
    direction = axis / np.hypot(*axis)
    direction = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ direction
    right = direction * (2.0 * half * np.exp(log_scale))
    down = np.array([-right[1], right[0]])
    centre = eyes + 0.115 * eye_to_mouth + shift_x * right + shift_y * down
    return View(rotation, centre - 0.5 * (right + down), np.stack([right, down], axis=1))
