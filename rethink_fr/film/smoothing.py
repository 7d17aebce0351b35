"""Places of a face over time without the detector's trembling, and without lag: the whole track is seen at once.

Two things are smoothed, both by local polynomials (Cleveland 1979, Journal of the American Statistical Association 74,
368), over real times, so that variable frame rates make no difference: the five points in the face's own frame of
reference, where they hardly move, over a second; and then, lightly, the points in the picture, where following a face
from frame to frame leaves less than a pixel of noise.
"""

from __future__ import annotations

from typing import Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from rethink_fr.film.tracks import Track
from rethink_fr.pictures.geometry import mapped

_POINTS_REACH = 1.0  # seconds to either side
_PLACES_REACH = 0.1


def smooth_points(track: Track, times: Sequence[float]) -> NDArray[np.float64]:
    """The five points of a track in each of its frames, `[frames, 5, 2]`.

    Args:
        track: a track.
        times: of all frames of the clip, in seconds.
    """
    own = np.asarray(times, np.float64)[track.start : track.end]
    seen = sorted(track.seen)
    places = np.stack([track.seen[number][0] for number in seen]).reshape(len(seen), 10)
    scores = np.array([track.seen[number][1] for number in seen])
    steady = local_polynomial(np.asarray(times)[seen], places, own, _POINTS_REACH, 1, scores)
    points = np.stack([mapped(map_, five.reshape(5, 2)) for map_, five in zip(track.maps, steady)])
    return local_polynomial(own, points.reshape(len(own), 10), own, _PLACES_REACH, 2).reshape(-1, 5, 2)


def local_polynomial(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    at: NDArray[np.float64],
    reach: float,
    degree: int,
    weights: Optional[NDArray[np.float64]] = None,
) -> NDArray[np.float64]:
    """Fit a polynomial of this degree around each time, and take its value there.

    A polynomial of that degree comes out as it went in. Where fewer than `degree + 1` values are within reach, the
    degree is lower.

    Args:
        times: `[N]`, rising.
        values: `[N, D]`.
        at: `[M]`, times at which values are wanted.
        reach: how far to either side values count; their weight falls to 0 there (tricube).
        weights: `[N]`, how much each value counts besides.

    Returns:
        `[M, D]`.
    """
    made = np.empty([len(at), values.shape[1]])
    for row, time in enumerate(at):
        low, high = np.searchsorted(times, [time - reach, time + reach])
        if low == high:  # nothing within reach: what is nearest
            low = min(max(0, low - 1), len(times) - 1)
            high = low + 1
        distance = (times[low:high] - time) / reach
        weight = np.clip(1 - np.minimum(np.abs(distance), 1) ** 3, 1e-3, 1) ** 3
        if weights is not None:
            weight = weight * weights[low:high]
        powers = np.vander(distance, min(degree, high - low - 1) + 1, increasing=True)
        root = np.sqrt(weight)[:, None]
        made[row] = np.linalg.lstsq(root * powers, root * values[low:high], rcond=None)[0][0]
    return made
