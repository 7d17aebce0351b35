"""A restorer and a detector whose answers are known, and the page with them: `python -m tests.app.echo PORT`."""

import sys

import numpy as np
import tensorflow as tf

from rethink_fr.app.serve import serve
from rethink_fr.faces.face import Face
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.pictures.geometry import ffhq_points
from rethink_fr.system import Inference

SIDE = 64
LOCAL = (None, "", "localhost", "127.0.0.1", "::1")


def _answer(images, noise):
    """The picture, darker by half and lighter or darker by the noise."""
    return {"restored": tf.clip_by_value(0.5 * images + 0.25 * tf.reshape(noise, [-1, 1, 1, 1]), -1.0, 1.0)}


class OneFace:
    """Finds a face in the middle of every picture that is not white, as large as half of its shorter side."""

    name, side, smallest, largest, tells_upright = "one face", 4096, 10, 4096, True

    def __call__(self, picture, smallest, threshold):
        if picture.min() == 255:
            return []
        rows, columns = picture.shape[:2]
        side = min(rows, columns) / 2
        left, top = (columns - side) / 2, (rows - side) / 2
        points = ffhq_points(SIDE) / SIDE * side + np.array([left, top])
        return [Face((left, top, left + side, top + side), points, 0.99)]


def restorer() -> LoadedRestorer:
    return LoadedRestorer(Inference(None, _answer, SIDE, None, "noise", (None, 1, 1)))


def _tell_of_other_hosts(event, arguments):
    """Print the hosts beside this one that anything in this process asks for."""
    if event in ("socket.connect", "socket.getaddrinfo"):
        place = arguments[1] if event == "socket.connect" else arguments
        if isinstance(place, tuple) and place[0] not in LOCAL:
            print("asked another host:", place[0], file=sys.stderr)


if __name__ == "__main__":
    sys.addaudithook(_tell_of_other_hosts)
    serve(restorer(), OneFace(), "echo", "127.0.0.1", int(sys.argv[1]), lambda place: print(place, flush=True))
