"""Tracks of faces over a clip, and their places, smoothed."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.film.smoothing import local_polynomial, smooth_points
from rethink_fr.film.tracks import Tracks
from tests.film.making import FrameDetector, background, face, moving

_SIZE = (320, 240)


def tracked(frames, detector=None, every=4, missing=()):
    detector = detector or FrameDetector()
    tracks = Tracks(frames[0].size, every)
    for number, frame in enumerate(frames):
        if tracks.add(frame) or number + 1 == len(frames):
            faces = [] if number in missing else detector(np.asarray(frame), 20, 0.9)
            tracks.found(faces)
    return tracks


def spans(tracks):
    return [(track.start, track.end) for track in tracks.tracks()]


def scene(*places, background_seed=0):
    """A frame with faces at these places: (identity, x, y)."""
    frame = background(_SIZE, background_seed)
    for identity, x, y in places:
        frame.paste(face(identity, 64), (x, y))
    return frame


def test_a_face_that_moves_is_one_track_and_its_points_move_with_it():
    frames = moving(23, _SIZE)
    tracks = tracked(frames, FrameDetector(trembling=1.0))
    assert spans(tracks) == [(0, 23)]
    points = smooth_points(tracks.tracks()[0], [number / 25 for number in range(23)])
    centre = tracks.in_frames(points).mean(axis=1)
    np.testing.assert_allclose(np.diff(centre, axis=0), np.tile([3, 1], [22, 1]), atol=0.12)


def test_smoothing_takes_the_trembling_away_and_leaves_no_lag():
    # Not a steady motion: a lag would show where it turns.
    places = [(int(100 + 60 * np.sin(number / 7)), int(60 + 30 * np.cos(number / 5))) for number in range(50)]
    frames = [scene((3, *place)) for place in places]
    still = FrameDetector()
    truth = np.stack([still(np.asarray(frame), 20, 0.9)[0].points for frame in frames])
    rough = FrameDetector(trembling=1.5)
    raw = np.stack([rough(np.asarray(frame), 20, 0.9)[0].points for frame in frames])
    tracks = tracked(frames, FrameDetector(trembling=1.5), every=5)
    (track,) = tracks.tracks()
    smooth = tracks.in_frames(smooth_points(track, [number / 25 for number in range(50)]))

    def trembling(points):
        away = points - truth
        return np.sqrt(np.square(np.diff(away, axis=0)).mean())

    assert trembling(smooth) < trembling(raw) / 6  # whole pixels of the places tremble, too
    offset = (smooth - truth).mean(axis=1)  # by whole points, over time
    velocity = np.gradient(truth.mean(axis=1), axis=0)
    lag = np.sum((offset - offset.mean(axis=0)) * velocity) / np.sum(velocity**2)
    assert abs(lag) < 0.05  # frames


def test_two_faces_that_pass_each_other_stay_who_they_are():
    frames = [scene((3, 10 + 6 * number, 20), (5, 230 - 6 * number, 130)) for number in range(30)]
    tracks = tracked(frames)
    assert spans(tracks) == [(0, 30), (0, 30)]
    for track in tracks.tracks():
        points = tracks.in_frames(smooth_points(track, [number / 25 for number in range(30)]))
        assert abs(abs(points[-1, :, 0].mean() - points[0, :, 0].mean()) - 6 * 29) < 3


def test_a_face_that_the_detector_misses_is_followed_on():
    assert spans(tracked(moving(21, _SIZE), missing=(4, 8))) == [(0, 21)]


def test_a_face_that_comes_between_two_searches_is_followed_back_and_one_that_goes_ends():
    empty = scene()
    frames = [*[empty] * 6, *moving(10, _SIZE), *[empty] * 6]
    (span,) = spans(tracked(frames))
    assert span == (6, 16)


def test_a_cut_ends_all_tracks():
    # Black and white halves, which change places; the face stays where it was.
    first, second = scene((3, 40, 60)), scene((3, 40, 60))
    for frame, half in ((first, 0), (second, 160)):
        frame.paste((0, 0, 0), (0, 140, 320, 240))
        frame.paste((255, 255, 255), (half, 140, half + 160, 240))
    tracks = tracked([first] * 7 + [second] * 8)
    assert tracks.cuts == [7]
    assert spans(tracks) == [(0, 7), (7, 15)]


def test_what_was_seen_only_once_in_a_long_shot_is_no_face():
    frames = [scene((3, 40, 60), (5, 200, 120)) if number == 8 else scene((3, 40, 60)) for number in range(17)]
    assert spans(tracked(frames)) == [(0, 17)]
    short = [scene((3, 40, 60))]
    assert spans(tracked(short)) == [(0, 1)]


def test_frames_of_any_size_can_be_added():
    for size in ((8, 8), (3000, 9), (2, 1)):
        tracks = Tracks(size)
        assert tracks.add(Image.new("RGB", size))
        tracks.found([])
        assert tracks.tracks() == []


def test_points_are_those_of_the_frame_in_large_frames_too():
    large = [frame.resize((1920, 1440), Image.Resampling.BICUBIC) for frame in moving(9, _SIZE)]
    tracks = tracked(large)
    (track,) = tracks.tracks()
    points = tracks.in_frames(smooth_points(track, [number / 25 for number in range(9)]))
    truth = FrameDetector()(np.asarray(large[0]), 20, 0.9)[0].points
    np.testing.assert_allclose(points[0], truth, atol=2)


@pytest.mark.parametrize("degree", [1, 2])
def test_a_polynomial_comes_out_as_it_went_in_at_uneven_times(degree):
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.08, 40))
    values = np.stack([1 + 2 * times, times**degree], axis=1)
    np.testing.assert_allclose(local_polynomial(times, values, times, 0.3, degree), values, atol=1e-9)


def test_a_polynomial_of_few_values_is_a_lower_one():
    one = local_polynomial(np.array([1.0]), np.array([[5.0]]), np.array([0.0, 1.0, 9.0]), 0.5, 2)
    np.testing.assert_allclose(one, 5.0)
    two = local_polynomial(np.array([0.0, 1.0]), np.array([[0.0], [2.0]]), np.array([0.5]), 2.0, 2)
    np.testing.assert_allclose(two, 1.0)
