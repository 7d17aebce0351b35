"""Folders with several samples of each picture: how they are told from others, and what is reported of them."""

import json
import re
import shutil
import tracemalloc

import numpy as np
import pytest

from rethink_fr import metrics
from rethink_fr.cli import main
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.needs import Sources
from rethink_fr.evaluation.samples import group_samples, pair_samples
from rethink_fr.evaluation.study.correlation import MeasuredMetric, rank_correlation, read_metrics
from rethink_fr.metrics.table import GROUPS
from rethink_fr.pictures.files import read_image, write_image
from tests.evaluation.tiny_networks import tiny_networks

COUNT, SAMPLES, SIDE = 5, 4, 32
NAMES = [f"face_{number}" for number in range(1, COUNT + 1)]  # as if they were samples themselves


@pytest.fixture
def faces(tmp_path):
    """clean/, degraded/, samples/ (four draws of each) and single/ (one)."""
    generator = np.random.default_rng(0)
    for name in NAMES:
        coarse = generator.normal(128, 40, [4, 4, 3]).repeat(8, 0).repeat(8, 1)
        draws = coarse + generator.normal(0, 12, [SAMPLES + 2, SIDE, SIDE, 3])
        written = {"clean": draws[0], "single": draws[1], "degraded": coarse}
        pictures = {f"{folder}/{name}": picture for folder, picture in written.items()}
        pictures.update({f"samples/{name}_{k}": draws[k + 1] for k in range(1, SAMPLES + 1)})
        for path, picture in pictures.items():
            write_image(tmp_path / f"{path}.png", np.clip(picture, 0, 255).astype(np.uint8))
    return tmp_path


@pytest.fixture
def run(faces):
    def evaluated(**changes):
        loaders = {name: lambda one=one: one for name, one in tiny_networks().items()}
        loaders["niqe_statistics"] = loaders["fid_statistics"] = lambda: (np.zeros(48), np.eye(48))
        (faces / "people.csv").write_text("name,identity\n" + "".join(f"{name},Ann\n" for name in NAMES))
        given = {"restored": faces / "samples", "reference": faces / "clean", "degraded": faces / "degraded"}
        names = [name for name in metrics_but_niqe() if name != "niqe"]
        given.update(identities=faces / "people.csv", metrics=names, k=2, loaders=loaders, progress=False)
        return evaluate(**{**given, **changes})

    return evaluated


def metrics_but_niqe():
    from rethink_fr.metrics.table import METRICS

    return [name for name in METRICS["ours"] if name != "niqe"]  # it needs larger pictures


def files(*names):
    from pathlib import Path

    return {name: Path(f"{name}.png") for name in names}


@pytest.mark.parametrize(
    "found, names, count",
    [
        (["a_1", "a_2", "b_1", "b_2"], ["a", "b"], 2),
        (["a_1", "a_2", "a_3", "a_sheet", "a_texture"], ["a"], 3),
        (
            ["a_1", "a_2", "a_1_1", "a_1_2"],
            ["a", "a_1"],
            2,
        ),  # the first sample of `a` has the name of another reference
        (["a_1_1", "a_1_2", "a_2_1", "a_2_2"], ["a_1", "a_2"], 2),
        (["a_1", "a_2", "a_sheet", "a_sheet_1", "a_sheet_2", "a_sheet_sheet"], ["a", "a_sheet"], 2),
        (["sub/a_1", "sub/a_2"], ["sub/a"], 2),
        ([f"a_{number}" for number in range(1, 13)], ["a"], 12),
    ],
)
def test_samples_are_found(found, names, count):
    groups = group_samples(files(*found), names, "restored")
    assert list(groups) == names
    for name, paths in groups.items():
        assert [str(path) for path in paths] == [f"{name}_{number}.png" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    "found, names",
    [
        (["a", "b"], ["a", "b"]),
        (["a_1", "a_2"], ["a_1", "a_2"]),
        (["a", "a_1", "a_2"], ["a", "a_1", "a_2"]),
        (["a", "a_1", "a_2"], ["a"]),  # the name itself is there
        (["a_1"], ["a"]),  # one is none
        (["a_2", "a_3"], ["a"]),
        (["a_01", "a_02"], ["a"]),  # not what restore writes
        (["b", "c"], ["a"]),
    ],
)
def test_ordinary_names_are_never_taken_for_samples(found, names):
    assert group_samples(files(*found), names, "restored") is None


@pytest.mark.parametrize(
    "found, message",
    [
        (
            ["a_1", "a_2", "a_3", "b_1", "b_2"],
            r"up to 3 samples of a picture, but fewer of b \(2\); expected NAME_1 to",
        ),
        (["a_1", "a_2"], r"fewer of b \(0\)"),
        (["a_1", "a_2", "a_4", "b_1", "b_2"], "a_4.png: no sample of a reference image; expected NAME_1 to NAME_2"),
        (["a_1", "a_2", "b_1", "b_2", "c"], "c.png: no sample of a reference image"),
    ],
)
def test_samples_that_are_not_whole_are_named(found, message):
    with pytest.raises(ValueError, match=message) as error:
        group_samples(files(*found), ["a", "b"], "restored")
    assert "\n" not in str(error.value)


def test_folders_of_both_kinds_are_paired(faces):
    pairs = pair_samples({"A": faces / "samples", "B": faces / "single"}, {"reference": faces / "clean"})
    assert [{folder: len(paths) for folder, paths in pair.items()} for pair in pairs.values()] == [
        {"A": SAMPLES, "B": 1, "reference": 1}
    ] * COUNT
    (faces / "single" / f"{NAMES[0]}.png").unlink()
    with pytest.raises(ValueError, match="no image of that name in .*single"):
        pair_samples({"A": faces / "samples", "B": faces / "single"}, {"reference": faces / "clean"})


def test_a_figure_is_the_mean_over_draws_and_has_their_deviation(run, faces):
    report = run()
    assert report.samples == {"restored": SAMPLES, "degraded": 1} and report.missing == () == report.failed
    alone = []
    for draw in range(1, SAMPLES + 1):
        for name in NAMES:
            (faces / f"draw{draw}").mkdir(exist_ok=True)
            shutil.copy(faces / "samples" / f"{name}_{draw}.png", faces / f"draw{draw}" / f"{name}.png")
        names = [metric.name for metric in report.metrics if not metric.of_samples]
        alone.append(run(restored=faces / f"draw{draw}", metrics=names))
    for figure in report.figures:
        if figure.folder == "degraded" or figure.metric.of_samples:
            assert figure.deviation is None
            continue
        values = [one.cells[figure.metric.name, "restored"].value for one in alone]
        assert figure.draws == pytest.approx(values, rel=1e-6) and figure.value == pytest.approx(np.mean(values))
        assert figure.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        if figure.interval is not None:
            assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert alone[0].figures[0].deviation is None


def test_measures_of_samples_are_what_their_functions_give(run, faces):
    report = run()
    networks = tiny_networks()
    errors, fine, coverage, angles, diverse, mean = [], [], [], [], [], []
    for name in NAMES:
        samples = np.stack([read_image(faces / "samples" / f"{name}_{k}.png") for k in range(1, SAMPLES + 1)])
        clean = read_image(faces / "clean" / f"{name}.png")
        errors.append(metrics.sample_errors(samples, clean))
        fine.append(metrics.band_errors(samples, clean)["fine"])
        coverage.append(metrics.interval_coverage(samples, clean, 0.8))
        angles.append(metrics.identity_spread(networks["recognition"](samples)))
        diverse.append(metrics.diversity(samples / 127.5 - 1, networks["perceptual"]))
        mean.append(metrics.psnr(samples.mean(0)[None], clean[None])[0])
    cells = {name: report.cells[name, "restored"] for name in GROUPS["samples"]}
    expected = {
        "error_ratio": metrics.error_ratio(errors),
        "error_ratio_fine": metrics.error_ratio(fine),
        "coverage_80": np.mean(coverage),
        "identity_spread": np.mean(angles),
        "diversity": np.mean(diverse),
        "psnr_mean": np.mean(mean),
    }
    assert {name: cells[name].value for name in expected} == pytest.approx(expected, rel=1e-5)
    assert cells["error_ratio"].ideal == pytest.approx(1.6) and cells["coverage_80"].ideal == 0.8
    assert cells["error_ratio"].value == pytest.approx(1.6, rel=0.1)  # samples and truth are draws of one distribution
    low, high = cells["error_ratio"].interval
    assert low < cells["error_ratio"].value < high
    assert report.rows[1].values["restored"]["error_ratio"] == pytest.approx(errors[1].one / errors[1].mean)
    assert report.rows[1].values["restored"]["psnr_mean"] == pytest.approx(mean[1])
    assert all(figure.folder == "restored" for figure in report.figures if figure.metric.of_samples)


def test_the_command_tells_samples_from_single_restorations_everywhere(faces, capsys, monkeypatch):
    given = {name: lambda one=one: one for name, one in tiny_networks().items()}
    monkeypatch.setattr(Sources, "loaders", lambda _: given)
    outputs = {ending: faces / f"out{ending}" for ending in (".json", ".html", ".tex", ".md")}
    for name in NAMES:  # what restore writes beside samples
        write_image(faces / "samples" / f"{name}_sheet.png", np.zeros([8, 8, 3], np.uint8))
    code = main(
        ["evaluate", "--restored", f"Draws={faces / 'samples'}", f"One={faces / 'single'}", "--reference",
         str(faces / "clean"), "--metrics", "psnr,error_ratio,coverage_80,crps", "--output", str(outputs[".json"]),
         "--html", str(outputs[".html"]), "--table", str(outputs[".tex"]), "--table", str(outputs[".md"])]
    )  # fmt: skip
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    lines = [re.split(r"  +", line) for line in printed.out.splitlines()]
    assert lines[0] == [
        "5 images, 4 samples of each by Draws, protocol ours; mean ± deviation over samples [95 % interval]"
    ]
    assert re.fullmatch(r"\d+\.\d\d ± \d\.\d\d dB \[.*\]", lines[2][2]) and "±" not in lines[2][3]
    assert lines[3][:2] == ["error_ratio", "near 1.60"] and lines[3][3] == "-" and "±" not in lines[3][2]
    told = json.loads(outputs[".json"].read_text())
    assert told["samples"] == {"Draws": SAMPLES, "One": 1}
    psnr, ratio = told["metrics"]["psnr"], told["metrics"]["error_ratio"]
    assert len(psnr["Draws"]["draws"]["values"]) == SAMPLES and psnr["Draws"]["draws"]["deviation"] > 0
    assert "draws" not in psnr["One"] and ratio["Draws"]["ideal"] == 1.6 and "One" not in ratio
    assert "coverage_80" in told["rows"][0]["Draws"] and "coverage_80" not in told["rows"][0]["One"]
    latex, markdown = (outputs[ending].read_text("utf-8") for ending in (".tex", ".md"))
    assert r" $\pm$ 0." in latex and r"Error ratio $\rightarrow$ 1.60" in latex and r"Coverage at 80 \%" in latex
    assert " ± 0." in markdown and "| Error ratio → 1.60 |" in markdown and "| - |" in markdown
    page = outputs[".html"].read_text("utf-8")
    assert "Error ratio → 1.60" in page and " ± " in page and page.count("Coverage at 80 %, ") == 1
    (ranked,) = [one for one in read_metrics([outputs[".json"]], ["Draws", "One"])[0] if one.name == "error_ratio"]
    assert ranked.ideals == {"Draws": 1.6} and ranked.goodness("Draws") == pytest.approx(
        -abs(ranked.values["Draws"] - 1.6)
    )


def test_a_metric_that_should_be_near_a_value_is_ranked_by_its_distance():
    metric = MeasuredMetric("coverage", "", "nearer", None, {"a": 0.5, "b": 0.79, "c": 0.9}, dict.fromkeys("abc", 0.8))
    assert rank_correlation(metric, {"a": 0.1, "b": 0.6, "c": 0.3}).spearman == pytest.approx(1.0)


def test_samples_asked_for_without_any_are_missing_by_name(run, faces):
    report = run(restored=faces / "single", metrics=["psnr", "crps", "diversity"])
    reason = "needs several samples of each picture; restore with --samples N"
    assert report.missing == (("crps", reason), ("diversity", reason))


def test_an_unreadable_sample_leaves_its_name_out_of_every_folder(run, faces):
    (faces / "samples" / f"{NAMES[2]}_3.png").write_bytes(b"no picture")
    report = run(metrics=["psnr", "crps"])
    ((file, _),) = report.failed
    assert file.endswith(f"{NAMES[2]}_3.png") and {figure.count for figure in report.figures} == {COUNT - 1}


def test_memory_holds_the_samples_of_one_picture_at_a_time(tmp_path):
    side, generator = 128, np.random.default_rng(0)
    for number in range(12):
        for path in (f"clean/{number}", *(f"samples/{number}_{k}" for k in (1, 2, 3, 4))):
            write_image(tmp_path / f"{path}.png", generator.integers(0, 256, [side, side, 3], np.uint8))

    def peak(count):
        for folder in ("clean", "samples"):
            for path in (tmp_path / folder).iterdir():
                if int(path.stem.split("_")[0]) >= count:
                    path.unlink()
        tracemalloc.start()
        loaders = {name: lambda one=one: one for name, one in tiny_networks().items()}
        names = ["psnr", "samples"]
        report = evaluate(tmp_path / "samples", tmp_path / "clean", metrics=names, progress=False, loaders=loaders)
        assert len(report.rows) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    many = peak(12)
    assert many < 1.2 * peak(3)
