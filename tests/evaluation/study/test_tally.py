"""`rethink-fr study tally`: preferences, agreement, and rank correlations with metrics."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from rethink_fr.evaluation.study.correlation import MeasuredMetric, why_none
from rethink_fr.evaluation.study.files import LETTERS, StudyKey, Trial, checksum
from rethink_fr.evaluation.study.tally import tally_study, wilson_interval
from rethink_fr.files.writing import write_json

METHODS = ("A1", "B1", "C1", "D1")


@pytest.fixture
def tallied(tmp_path):
    """Tallies what raters chose, given as methods' first letters, in a study of as many trials."""

    def tally(raters, reports=()):
        count = len(next(iter(raters.values())))
        generator = np.random.default_rng(0)
        orders = [tuple(METHODS[one] for one in generator.permutation(4)) for _ in range(count)]
        key = StudyKey(("?",), 0, METHODS, tuple(Trial(str(n), f"face{n}", order) for n, order in enumerate(orders)))
        write_json(tmp_path / "key.json", key.as_json())
        files = []
        for rater, wanted in raters.items():
            chosen = {one.trial: LETTERS[one.order.index(f"{letter}1")] for one, letter in zip(key.trials, wanted)}
            entries = [{"trial": trial, "choice": choice} for trial, choice in chosen.items()]
            files.append(tmp_path / f"{len(files)}.json")
            content = {"study": key.study, "rater": rater.strip("_"), "answers": entries}
            files[-1].write_text(json.dumps({**content, "check": checksum(key.study, rater.strip("_"), chosen)}))
        paths = []
        for number, report in enumerate(reports):
            paths.append(tmp_path / f"report{number}.json")
            paths[-1].write_text(report if isinstance(report, str) else json.dumps(report))
        return tally_study(tmp_path / "key.json", files, paths)

    return tally


def report(better="higher", definition="of images", name="psnr", field="mean", **values):
    entries = {method: {field: value} for method, value in values.items()}
    return {"metrics": {name: {"definition": definition, "unit": "", "better": better, **entries}}}


def test_preferences_by_hand(tallied):
    found = tallied({"Ann": "AAAB", "Bob": "AABC"})
    assert [(one.method, one.chosen, one.share) for one in found.preferences] == [
        ("A1", 5, 0.625),
        ("B1", 2, 0.25),
        ("C1", 1, 0.125),
        ("D1", 0, 0.0),
    ]
    assert found.raters == ("Ann", "Bob") and found.trials == 4 and found.failed == ()
    assert sum(one.share for one in found.preferences) == 1.0
    for one in found.preferences:
        assert one.wilson[0] <= one.share <= one.wilson[1]
        assert one.over_trials[0] <= one.share <= one.over_trials[1]


def test_agreement_by_hand(tallied):
    # Two of four trials alike: 1/2. By chance (5/8)^2 + (2/8)^2 + (1/8)^2 = 30/64; kappa = (32 - 30) / (64 - 30).
    found = tallied({"Ann": "AAAB", "Bob": "AABC"})
    assert found.agreement == 0.5 and found.kappa == pytest.approx(2 / 34)
    assert tallied({"Ann": "AB", "Bob": "AB"}).kappa == 1.0
    alone = tallied({"Ann": "AAAB"})
    assert alone.agreement is None and alone.kappa is None
    same = tallied({"Ann": "AA", "Bob": "AA"})
    assert same.agreement == 1.0 and same.kappa is None and "kappa not defined" in "\n".join(same.table())


def test_agreement_of_three_raters(tallied):
    # Of three pairs of raters one agrees in the first trial, all in the second.
    assert tallied({"Ann": "AB", "Bob": "AB", "Cy": "CB"}).agreement == pytest.approx((1 / 3 + 1) / 2)


def test_wilson_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, to four digits.
    for chosen, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson_interval(chosen, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson_interval(1, 29) == (pytest.approx(0.0061, abs=5e-5), pytest.approx(0.1718, abs=5e-5))
    assert wilson_interval(20, 20)[1] == 1.0


def test_more_raters_of_the_same_mind_tell_nothing_new_over_trials(tallied):
    one = tallied({"Ann": "AAAB"}).preferences[0]
    many = tallied({"Ann": "AAAB", "Bob": "AAAB", "Cy": "AAAB"}).preferences[0]
    assert many.over_trials == one.over_trials
    assert many.wilson[1] - many.wilson[0] < one.wilson[1] - one.wilson[0]


def test_a_metric_that_orders_methods_as_people_do(tallied):
    raters = {"Ann": "AAAABBBCCD"}
    good = report(A1=4.0, B1=3.0, C1=2.0, D1=1.0)
    lower = report("lower", name="fid_paired", field="value", A1=1.0, B1=2.0, C1=3.0, D1=4.0)
    wrong = report(name="ssim", A1=1.0, B1=2.0, C1=3.0, D1=4.0)
    swapped = report(name="deg", better="lower", A1=2.0, B1=1.0, C1=3.0, D1=4.0)
    flat = report(name="recall", A1=1.0, B1=1.0, C1=1.0, D1=1.0)
    endless = report(name="psnr_y", A1="inf", B1=3.0, C1=2.0, D1=1.0)
    found = {one.metric: one for one in tallied(raters, [good, lower, wrong, swapped, flat, endless]).correlations}
    for name in ("psnr", "fid_paired", "psnr_y"):
        assert (found[name].spearman, found[name].kendall) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (found["ssim"].spearman, found["ssim"].kendall) == (pytest.approx(-1.0), pytest.approx(-1.0))
    # One of six pairs the other way: (5 - 1) / 6; squared rank differences 1 + 1: 1 - 6 * 2 / (4 * 15).
    assert found["deg"].kendall == pytest.approx(2 / 3) and found["deg"].spearman == pytest.approx(0.8)
    assert found["recall"].spearman is None and found["recall"].kendall is None
    assert all(one.methods == 4 for one in found.values())


def test_reports_of_single_methods_are_put_together(tallied):
    reports = [report(A1=4.0), report(B1=3.0, C1=2.0), report(other=9.0)]
    (found,) = tallied({"Ann": "AAABBC"}, reports).correlations
    assert found.methods == 3 and found.spearman == pytest.approx(1.0)


GOOD = report(A1=3.0, B1=2.0, C1=1.0)


@pytest.mark.parametrize(
    "bad, reason",
    [
        ("no", "not a JSON file; expected a report of rethink-fr evaluate --output"),
        ("[]", "not a report of rethink-fr evaluate --output"),
        ('{"metrics": 1}', "not a report"),
        ('{"metrics": {"psnr": {"better": "higher"}}}', "not a report"),
        ('{"metrics": {}, "resize": 3}', "not a report"),
        ("[" * 100_000, "nested too deeply; expected a report"),
        (report(better="sideways", D1=1.0), "not a report"),
        (report(definition=["of", "images"], D1=1.0), "not a report"),
        (report(D1=float("nan")), "not a report"),
        (report(D1=10**400), "not a report"),
        (report(D1="much"), "not a report"),
        (report(A1=2.0), "psnr of A1 is in a report before it; leave one of them out"),
        (report(definition="other", D1=2.0), "psnr is defined otherwise than in a report before it"),
        ({**report(D1=2.0), "resize": {"to": 64}}, "psnr is of another --resize than in a report before it"),
    ],
)
def test_a_report_that_cannot_be_used_is_listed_and_the_others_count(tallied, bad, reason):
    found = tallied({"Ann": "AABC"}, [GOOD, bad])
    ((file, said),) = found.failed
    assert file.endswith("report1.json") and said.startswith(reason) and "\n" not in said
    (correlation,) = found.correlations
    assert correlation.methods == 3 and found.no_correlation is None and found.preferences[0].method == "A1"


@pytest.mark.parametrize(
    "reports, reason",
    [
        ([report(restored=1.0)], "it needs 3 methods of the study (A1, B1, C1, D1); the reports have none; evaluate "),
        ([report(A1=1.0, B1=2.0)], "it needs 3 methods of the study (A1, B1, C1, D1); the reports have A1, B1; "),
        (["{}"], "it needs 3 methods"),
        ([{"metrics": {}}], "it needs 3 methods"),
        ([report(A1=1.0, B1=1.0, C1=1.0)], "all methods have the same value of each metric, or were preferred equally"),
    ],
)
def test_the_tally_is_given_where_there_is_no_rank_correlation(tallied, reports, reason):
    found = tallied({"Ann": "AABC", "Bob": "AABC"}, reports)
    assert found.preferences[0].share == 0.5 and found.agreement == 1.0
    assert found.no_correlation.startswith(reason)
    assert found.table()[-1] == f"no rank correlation: {found.no_correlation}"
    assert tallied({"Ann": "AABC"}).no_correlation is None  # nobody asked for one


def test_two_methods_have_no_rank_correlation_and_no_advice_that_cannot_be_followed():
    metric = MeasuredMetric("psnr", "", "higher", None, {"Ours": 1.0, "VQFR": 2.0})
    assert why_none([metric], [], ["Ours", "VQFR"]).endswith("the reports have Ours, VQFR")


def test_names_of_raters_are_normalised(tallied):
    spelled = {"Zoë": "AABC", "Zoe\u0308": "BBBB", " Zoë ": "CCCC", "Bob\u00a0 Lee": "AABC", "Bob Lee": "CCCC"}
    found = tallied(spelled)
    assert found.raters == ("Zoë", "Bob Lee") and found.preferences[0].chosen == 4
    assert len(found.failed) == 3 and all("is of the same rater as " in reason for _, reason in found.failed)


def test_a_name_that_cannot_be_encoded_does_not_stop_the_others(tallied, tmp_path):
    found = tallied({"Ann": "AABC", "\udce9va": "AABC"})
    assert found.raters == ("Ann", "\udce9va") and found.failed == ()
    write_json(tmp_path / "tally.json", asdict(found))
    assert json.loads((tmp_path / "tally.json").read_text("utf-8"))["raters"] == ["Ann", "\udce9va"]


def test_one_rater_counts_once(tallied):
    found = tallied({"Ann": "AABC", "Ann_": "AABC", "Bob": "AABC"})
    assert found.raters == ("Ann", "Bob") and found.preferences[0].chosen == 4
    ((file, reason),) = found.failed
    assert file.endswith("1.json") and reason.startswith("is of the same rater as ")


def test_the_table_and_json_say_all(tallied, tmp_path):
    found = tallied({"Ann": "AABC", "Bob": "AABC"}, [report(A1=3.0, B1=2.0, C1=1.0)])
    table = "\n".join(found.table())
    assert "4 trials, raters: 2" in table and "50.0 %" in table and "+0.866" not in table.splitlines()[0]
    assert "pairs of raters who agree: 100.0 %, Fleiss' kappa 1.000" in table
    stored = json.loads(json.dumps(asdict(found)))
    assert stored["preferences"][0]["method"] == "A1" and stored["correlations"][0]["definition"] == "of images"
    assert stored["raters"] == ["Ann", "Bob"] and stored["agreement"] == 1.0
