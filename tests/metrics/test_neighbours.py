"""Precision, recall and their identity versions: a case for pencil and paper, stored values, properties, misuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import coverage, identity_precision_recall, neighbours, precision_recall

CASES = (
    "hand paired paired_pairid paired_hard paired_hard_pairid unequal_unit identical_sets duplicates disjoint shrunk "
    "offset_exact_ties"
).split()


def column(*values):
    """Features of one dimension."""
    return np.array(values, np.float64)[:, None]


def test_with_pencil_and_paper():
    """Faces on a line, so that a sphere is an interval; A, B, C are three people.

        real  A 0   A 1   B 3   B 7   C 8          fake  A 0.4   A 2.2   B 5   B 7.4   C 20

    k = 1. The nearest other real of each real is 1, 1, 2, 1, 1 away, hence the intervals
        A [-1, 1]   A [0, 2]   B [1, 5]   B [6, 8]   C [7, 9].
    The fake 0.4 is in one of A: counts. 2.2 is in B's [1, 5] only, and A made it: precision only. 5 is on the border
    of B's [1, 5]: counts. 7.4 is in B's [6, 8]: counts. 20 is in none. Precision 4/5, iPrecision 3/5.

    k = 2. The second nearest reals are 3, 2, 3, 4, 5 away; A [-3, 3] now holds 2.2: iPrecision 4/5.

    Recall, k = 1. The fakes' intervals have radii 1.8, 1.8, 2.4, 2.4, 12.6:
        A [-1.4, 2.2]   A [0.4, 4]   B [2.6, 7.4]   B [5, 9.8]   C [7.4, 32.6].
    0 and 1 are in A's first, 3 and 7 in B's first, 8 in C's: recall and iRecall 5/5.
    """
    real, real_ids = column(0, 1, 3, 7, 8), ["A", "A", "B", "B", "C"]
    fake, fake_ids = column(0.4, 2.2, 5, 7.4, 20), ["A", "A", "B", "B", "C"]
    assert precision_recall(real, fake, k=1) == (4 / 5, 1.0)
    assert identity_precision_recall(real, fake, real_ids, fake_ids, k=1) == (3 / 5, 1.0)
    assert identity_precision_recall(real, fake, real_ids, fake_ids, k=2) == (4 / 5, 1.0)
    found = coverage(real, fake, real_ids, fake_ids, k=1)
    np.testing.assert_array_equal(found.fake_inside[:, 0], [True, True, True, True, False])
    np.testing.assert_array_equal(found.fake_inside_own[:, 0], [True, False, True, True, False])


@pytest.mark.parametrize("case", CASES)
def test_stored_values(shared, case):
    golden = np.load(shared / "golden/metrics/pr_ipr.npz")

    def value(name):
        return golden[f"{case}/{name}"]

    k = int(value("ks").max())
    real, fake = value("E_r"), value("E_g")
    found = coverage(real, fake, value("id_r"), value("id_g"), k)
    for ours, theirs in (
        ("fake_inside", "pred_g"),
        ("real_inside", "pred_r"),
        ("fake_inside_own", "ipred_g"),
        ("real_inside_own", "ipred_r"),
    ):
        np.testing.assert_array_equal(getattr(found, ours), value(theirs))
    for name in ("precision", "recall", "iprecision", "irecall"):
        np.testing.assert_allclose(getattr(found, name), value(name), atol=1e-12, err_msg=name)
    for points, name in ((real, "radii_r"), (fake, "radii_g")):
        tolerance = 1e-12 if points.dtype == value("E_r").dtype == np.float64 else 1e-6
        np.testing.assert_allclose(
            np.sqrt(neighbours.squared_radii(points, k)), value(name), rtol=tolerance, atol=1e-12
        )


def brute_force(real, fake, real_ids, fake_ids, k):
    """The definition, one pair at a time; iPrecision and precision of each fake."""

    def squared(e, other):
        return np.square(e.astype(np.float64) - other).sum()

    radii = [sorted(squared(e, other) for j, other in enumerate(real) if j != i)[k - 1] for i, e in enumerate(real)]
    inside = np.array([[squared(e, other) <= radius for other, radius in zip(real, radii)] for e in fake])
    return (inside & (np.array(fake_ids)[:, None] == real_ids)).any(1), inside.any(1)


sets = {
    "seed": st.integers(0, 9999), "reals": st.integers(6, 25), "fakes": st.integers(6, 25), "width": st.integers(1, 9),
    "k": st.integers(1, 5), "levels": st.sampled_from([None, 2, 5]), "offset": st.sampled_from([0.0, 3.0, 1e4]),
}  # fmt: skip


def draw(seed, reals, fakes, width, levels, offset):
    """Two sets; with `levels`, on a grid so coarse that ties and duplicates are common."""
    generator = np.random.default_rng(seed)
    shape = [reals + fakes, width]
    points = generator.normal(size=shape) if levels is None else generator.integers(0, levels, shape).astype(np.float64)
    ids = generator.integers(0, 4, reals + fakes)
    return points[:reals] + offset, points[reals:] + offset, ids[:reals], ids[reals:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60, deadline=None)
@given(block=st.sampled_from([1, 30, 2**22]), exact=st.sampled_from([1, 2**21]), **sets)
def test_blocks_give_what_the_definition_gives(
    dtype, block, exact, seed, reals, fakes, width, k, levels, offset
):  # fmt: skip
    real, fake, real_ids, fake_ids = draw(seed, reals, fakes, width, levels, offset)
    real, fake = real.astype(dtype), fake.astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK", block)
        patch.setattr(neighbours, "_EXACT", exact)
        found = coverage(real, fake, real_ids, fake_ids, k)
    own, inside = brute_force(real, fake, real_ids, fake_ids, k)
    np.testing.assert_array_equal(found.fake_inside[:, -1], inside)
    np.testing.assert_array_equal(found.fake_inside_own[:, -1], own)
    own, inside = brute_force(fake, real, fake_ids, real_ids, k)
    np.testing.assert_array_equal(found.real_inside[:, -1], inside)
    np.testing.assert_array_equal(found.real_inside_own[:, -1], own)


@settings(max_examples=60, deadline=None)
@given(**sets)
def test_properties(seed, reals, fakes, width, k, levels, offset):
    real, fake, real_ids, fake_ids = draw(seed, reals, fakes, width, levels, offset)
    found = coverage(real, fake, real_ids, fake_ids, k)
    curves = found.precision, found.recall, found.iprecision, found.irecall
    for curve in curves:
        assert curve.shape == (k,) and (np.diff(curve) >= 0.0).all()  # growth with k
        assert ((curve >= 0.0) & (curve <= 1.0)).all()
    assert (found.iprecision <= found.precision).all() and (found.irecall <= found.recall).all()
    assert precision_recall(real, fake, k) == (found.precision[-1], found.recall[-1])
    expected = found.iprecision[-1], found.irecall[-1]
    assert identity_precision_recall(real, fake, real_ids, fake_ids, k) == expected

    swapped = coverage(fake, real, fake_ids, real_ids, k)
    np.testing.assert_array_equal(swapped.recall, found.precision)
    np.testing.assert_array_equal(swapped.irecall, found.iprecision)

    order = np.random.default_rng(seed).permutation(reals)
    shuffled = coverage(real[order], fake[::-1], real_ids[order], fake_ids[::-1], k)
    np.testing.assert_array_equal(shuffled.iprecision, found.iprecision)
    np.testing.assert_array_equal(shuffled.real_inside_own, found.real_inside_own[order])

    np.testing.assert_array_equal(coverage(4.0 * real, 4.0 * fake, k=k).precision, found.precision)  # exact in binary
    one = coverage(real, fake, np.zeros(reals, int), np.zeros(fakes, int), k)
    np.testing.assert_array_equal(one.iprecision, found.precision)
    np.testing.assert_array_equal(coverage(real, real, real_ids, real_ids, k).iprecision, 1.0)
    np.testing.assert_array_equal(coverage(real, fake, real_ids, fake_ids + 9, k).iprecision, 0.0)


@pytest.mark.parametrize("far", [1e3, 1e8, 1e19, 1e25, 1e150])
def test_one_outlier_changes_nothing_for_the_others(far):
    """It makes them so small, in float32, that nothing is clear there."""
    real, fake, real_ids, fake_ids = draw(3, 20, 20, 6, None, 0.0)
    real[4], real_ids[4] = far, 99
    found = coverage(real, fake, real_ids, fake_ids, 3)
    own, inside = brute_force(real, fake, real_ids, fake_ids, 3)
    np.testing.assert_array_equal(found.fake_inside[:, -1], inside)
    np.testing.assert_array_equal(found.fake_inside_own[:, -1], own)
    own, inside = brute_force(fake, real, fake_ids, real_ids, 3)
    np.testing.assert_array_equal(found.real_inside[:, -1], inside)


def test_identity_of_one_other_person_costs_its_faces():
    points = np.random.default_rng(0).normal(size=[20, 8])
    ids = np.arange(20)
    assert identity_precision_recall(points, points, ids, np.where(ids < 5, 99, ids)) == (0.75, 0.75)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"k": 6}, "k = 6: expected 1 to 5, since the smaller set has 6 features"),
        ({"k": 0}, "k = 0: expected 1 to 5"),
        ({"fake": np.ones([6, 2])}, "features of 3 and 2 dimensions; expected the same network"),
        ({"real": np.full([8, 3], np.nan)}, r"real: row 0 is not finite \(8 such rows of 8\)"),
        ({"fake": np.ones([1, 3])}, "fake: 1 samples; expected 2 or more"),
        ({"fake_ids": None}, "fake_ids: missing; expected an identity for each of the 6 features"),
        ({"real_ids": np.arange(6)}, r"real_ids: shape \(6,\); expected an identity for each of the 8"),
        ({"fake_ids": ["a", "b", "", "d", "e", "f"]}, "fake_ids: expected integers or strings, none of them missing"),
        ({"fake_ids": [1.0, 2, 3, 4, 5, np.nan]}, "fake_ids: expected integers or strings, none of them missing"),
        ({"fake_ids": list("abcdef")}, "one has strings, the other integers"),
    ],
)
def test_misuse(change, message):
    arguments = {
        "real": np.eye(8, 3), "fake": np.eye(6, 3), "real_ids": np.arange(8), "fake_ids": np.arange(6), "k": 4,
        **change,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message) as caught:
        coverage(**arguments)
    assert "\n" not in str(caught.value)


def test_curves_of_identities_need_identities():
    found = coverage(np.eye(8, 3), np.eye(6, 3))
    with pytest.raises(ValueError, match="no identities were given"):
        found.iprecision  # noqa: B018
