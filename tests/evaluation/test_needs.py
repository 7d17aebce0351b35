"""Metrics of `evaluate` that need networks, with tiny ones in their place."""

import json

import numpy as np
import pytest

from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.needs import Missing, Sources, load_needs
from rethink_fr.evaluation.networks import loading as feature_networks
from rethink_fr.evaluation.report.tables import as_terminal
from rethink_fr.metrics import (
    code_usage,
    frechet_distance,
    identity_angle,
    identity_precision_recall,
    landmark_distance,
    lpips,
    perceptual_distance,
    precision_recall,
)
from rethink_fr.metrics.table import GROUPS, METRICS
from rethink_fr.pictures.files import read_image, write_image
from tests.evaluation.tiny_networks import Colours, Means, tiny_networks

COUNT, SIDE = 12, 32
NEEDS = {"niqe_statistics", "fid_statistics"}


@pytest.fixture
def faces(tmp_path):
    """Folders clean/, restored/, other/ and degraded/ of twelve pictures, and their identities, three of each."""
    generator = np.random.default_rng(0)
    lines = ["name,identity"]
    for number in range(COUNT):
        clean = generator.normal(128, 40, [4, 4, 3]).repeat(8, 0).repeat(8, 1)
        for folder, noise in (("clean", 2), ("restored", 30), ("other", 50), ("degraded", 70)):
            shift = generator.normal(0, noise, [4, 4, 3]).repeat(8, 0).repeat(8, 1)
            shift += generator.normal(0, noise / 3, 3)
            write_image(tmp_path / folder / f"{number:02}.png", np.clip(clean + shift, 0, 255).astype(np.uint8))
        lines.append(f"{number:02},p{number // 3}")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def networks():
    return tiny_networks()


@pytest.fixture
def run(faces, networks):
    """Evaluates restored/ with the tiny networks; anything may be changed by keywords."""

    def absent():
        raise Missing("not here; do this")

    def evaluated(**changes):
        loaders = {**dict.fromkeys(NEEDS, absent), **{name: lambda one=one: one for name, one in networks.items()}}
        loaders.update(changes.pop("loaders", {}))
        given = {"restored": faces / "restored", "reference": faces / "clean", "identities": faces / "people.csv"}
        return evaluate(**{**given, **changes}, loaders=loaders, progress=False)

    return evaluated


def pictures(folder):
    return np.stack([read_image(folder / f"{number:02}.png") for number in range(COUNT)])


def test_every_metric_is_what_its_function_gives(run, faces, networks):
    report = run()
    clean, restored = pictures(faces / "clean"), pictures(faces / "restored")
    embed, look = networks["recognition"], networks["inception"]
    people = [f"p{number // 3}" for number in range(COUNT)]
    cells = report.cells
    rows = [row.values["restored"] for row in report.rows]
    np.testing.assert_allclose([row["deg"] for row in rows], identity_angle(embed(restored), embed(clean)), rtol=1e-6)
    points = networks["landmarks"]
    np.testing.assert_allclose([row["lmd"] for row in rows], landmark_distance(points(restored), points(clean)))
    expected = lpips(restored / 127.5 - 1, clean / 127.5 - 1, Colours())
    # 1e-5: the images are scaled to [-1, 1] in float32 there.
    np.testing.assert_allclose([row["lpips_vgg"] for row in rows], expected, rtol=1e-5)
    assert cells["fid_paired", "restored"].value == pytest.approx(frechet_distance(look(restored), look(clean)))
    found = precision_recall(embed(clean), embed(restored))
    own = identity_precision_recall(embed(clean), embed(restored), people, people)
    assert found == (cells["precision", "restored"].value, cells["recall", "restored"].value)
    assert own == (cells["iprecision", "restored"].value, cells["irecall", "restored"].value)
    assert 0.0 < own[0] < found[0]  # the data tell the two apart
    usage = code_usage(networks["codes"](restored).astype(int), 8)
    assert usage == (cells["code_usage", "restored"].value, cells["code_perplexity", "restored"].value)
    assert 1 / 8 < usage.share <= 1.0
    for k in (1, 2, 3, 4):
        share = cells["iprecision", "restored"].by_k[k - 1]
        assert share.value == identity_precision_recall(embed(clean), embed(restored), people, people, k)[0]
        assert share.interval[0] <= share.value <= share.interval[1]
    np.testing.assert_allclose(
        [row["perceptual"] for row in rows],
        perceptual_distance(restored / 127.5 - 1, clean / 127.5 - 1, Colours()),
        1e-5,
    )
    left_out = {name: reason for name, reason in report.left_out if name not in GROUPS["samples"]}
    assert left_out == {
        "niqe": "not here; do this",
        "consistency": "needs what was restored; add --degraded DIR",
        "fid_statistics": "not here; do this",
    }
    assert report.missing == () and set(GROUPS["samples"]) <= dict(report.left_out).keys()


def test_the_report_names_every_network_and_number(run, faces):
    report = json.loads(json.dumps(run(degraded=faces / "degraded", seed=3).as_json()))
    assert report["networks"]["recognition"] == {"name": "identity", "sha256": "0" * 64}
    perceptual = {"lpips_vgg", "lpips_alex", "perceptual"}
    assert set(report["networks"]) == {"inception", "recognition", "landmarks", "neighbours", "codes"} | perceptual
    assert set(report["metrics"]) == set(METRICS["ours"]) - {"niqe", "fid_statistics", *GROUPS["samples"]}
    for name, metric in report["metrics"].items():
        for folder in ("restored", "degraded"):
            assert metric["definition"] and metric[folder]["count"] == COUNT
            if name in ("fid_paired", "code_usage", "code_perplexity"):
                assert metric[folder]["value"] > 0.0 and metric[folder]["interval"] is None
            else:
                low, mean, high = map(float, np.insert(metric[folder]["interval"], 1, metric[folder]["mean"]))
                assert low <= mean <= high
    assert [share["k"] for share in report["metrics"]["irecall"]["restored"]["by_k"]] == [1, 2, 3, 4]
    assert report["k"] == 4 and report["interval"]["seed"] == 3 and "tensorflow" in report["versions"]


def test_a_network_sees_each_name_once_whatever_it_serves(run, networks):
    run(metrics=["deg", "precision", "iprecision"])
    assert networks["recognition"] is networks["neighbours"]
    assert networks["recognition"].calls == COUNT
    assert networks["inception"].calls == 0


def test_methods_side_by_side_are_what_each_is_alone(run, faces):
    both = run(restored={"A": faces / "restored", "B": faces / "other"})
    alone = {"A": run(), "B": run(restored=faces / "other")}
    assert both.methods == ("A", "B") and both.columns == ["A", "B"]
    for (metric, method), figure in both.cells.items():
        assert figure.value == pytest.approx(alone[method].cells[metric, "restored"].value, rel=1e-6)
    head = as_terminal(both)[1].split()
    assert head == ["metric", "better", "A", "B"]


def test_statistics_of_the_references_give_the_paired_distance(run, faces, networks):
    features = networks["lpips_vgg"], Means("inception", 1)  # three dimensions: twelve images have full rank
    stored = features[1](pictures(faces / "clean")).astype(np.float64)
    statistics = stored.mean(0), np.cov(stored.T)
    report = run(metrics=["fid"], loaders={"inception": lambda: features[1], "fid_statistics": lambda: statistics})
    paired, given = (report.cells[name, "restored"].value for name in ("fid_paired", "fid_statistics"))
    assert paired == pytest.approx(given, rel=1e-6) and paired > 1.0
    assert report.figures[0].metric.definition != report.figures[1].metric.definition


def test_vqfr_leaves_pairs_below_one_degree_out_of_its_mean(run, faces):
    write_image(faces / "restored" / "03.png", read_image(faces / "clean" / "03.png"))
    ours, theirs = run(metrics=["deg"]), run(metrics=["deg"], protocol="vqfr")
    angles = [row.values["restored"]["deg"] for row in ours.rows]
    assert angles[3] < 1.0 and min(angles[:3] + angles[4:]) > 1.0
    assert ours.figures[0].value == pytest.approx(np.mean(angles)) and ours.figures[0].count == COUNT
    assert theirs.figures[0].value == pytest.approx(np.mean(angles[:3] + angles[4:]))
    assert theirs.figures[0].count == COUNT - 1 and "left out of the mean" in theirs.figures[0].metric.definition
    same = run(restored=faces / "clean", metrics=["deg"], protocol="vqfr")
    assert same.figures == () and "all 12 pairs are below one degree" in same.missing[0][1]


def test_features_that_are_not_finite_name_the_file_and_leave_its_name_out_everywhere(run, faces, networks):
    class Broken(Means):
        def __call__(self, images):
            features = super().__call__(images)
            return np.where(images.max((1, 2, 3))[:, None] == 0, np.nan, features)

    write_image(faces / "other" / "05.png", np.zeros([SIDE, SIDE, 3], np.uint8))
    broken = {"neighbours": lambda: Broken("broken", 2)}
    report = run(restored={"A": faces / "restored", "B": faces / "other"}, loaders=broken)
    ((file, reason),) = report.failed
    assert file.endswith("other/05.png") and reason == "what broken makes of it is not finite; look at the image"
    assert {figure.count for figure in report.figures} == {COUNT - 1}


def test_a_k_that_the_images_do_not_allow(run, faces):
    assert run(k=COUNT - 1).cells["precision", "restored"].value >= run(k=4).cells["precision", "restored"].value
    with pytest.raises(ValueError, match=rf"--k {COUNT}: expected at most {COUNT - 1}, since .*clean holds {COUNT} im"):
        run(k=COUNT, metrics=["precision"])
    report = run(k=COUNT)
    assert {"precision", "recall", "iprecision", "irecall"} <= dict(report.left_out).keys()
    assert "psnr" in {figure.metric.name for figure in report.figures}
    (faces / "restored" / "00.png").write_bytes(b"")
    report = run(k=COUNT - 1, metrics=["psnr", "iprecision"])
    assert [name for name, _ in report.missing] == ["iprecision"] and "restored: k = 11" in report.missing[0][1]
    assert [figure.metric.name for figure in report.figures] == ["psnr"]


def test_one_image_has_no_frechet_distance_and_says_so(run, faces):
    for number in range(1, COUNT):
        for folder in ("clean", "restored"):
            (faces / folder / f"{number:02}.png").unlink()
    report = run(metrics=["psnr", "fid_paired"])
    assert report.missing == (("fid_paired", "restored: features_a: 1 samples; expected 2 or more"),)


@pytest.mark.parametrize("name", ["reference", "degraded", "definition", " "])
def test_method_names_that_would_be_taken_for_something_else(run, faces, name):
    with pytest.raises(ValueError, match="--restored: a method may not be called"):
        run(restored={name: faces / "restored"})


def test_without_identities_the_identity_metrics_are_missing(run):
    report = run(identities=None, metrics=["precision", "iprecision"])
    assert report.missing[0][0] == "iprecision" and "add --identities CSV" in report.missing[0][1]
    assert [figure.metric.name for figure in report.figures] == ["precision"]


def test_one_identity_file_serves_both_identity_needs(monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(feature_networks, "load_onnx_embedder", lambda *given: loaded.append(given) or object())
    (tmp_path / "net.onnx").touch()
    sources = Sources(identity_net=tmp_path / "net.onnx", identity_range="0..1", identity_crop=(0, 0, 1, 0.5))
    tools, absent = load_needs(["recognition", "neighbours"], sources.loaders())
    assert tools["recognition"] is tools["neighbours"] and absent == {}
    assert loaded == [(tmp_path / "net.onnx", "0..1", (0, 0, 1, 0.5))]


def test_precision_may_look_at_inception(monkeypatch, tmp_path):
    monkeypatch.setattr(feature_networks, "load_published", lambda name, path: object())
    (tmp_path / "net.pth").touch()
    sources = Sources(inception=tmp_path / "net.pth", features="inception")
    tools, _ = load_needs(["inception", "neighbours"], sources.loaders())
    assert tools["inception"] is tools["neighbours"]


def test_each_network_is_loaded_from_the_file_that_was_given(monkeypatch, tmp_path):
    needs = {"inception": "inception", "recognition": "arcface", "neighbours": "facenet", "landmarks": "awing"}
    for name in needs.values():
        (tmp_path / name).touch()
    monkeypatch.setattr(feature_networks, "load_published", lambda name, path: (name, path))
    (tmp_path / "alex").touch()
    files = {name: tmp_path / name for name in needs.values()}
    tools, absent = load_needs([*needs, "lpips_alex"], Sources(**files, lpips_alex=tmp_path / "alex").loaders())
    assert absent == {}
    assert {need: tools[need] for need in needs} == {need: (name, tmp_path / name) for need, name in needs.items()}
    assert tools["lpips_alex"] == ("lpips-alex", tmp_path / "alex")


def test_a_network_that_is_not_there_is_absent_but_a_file_that_was_given_must_serve(monkeypatch, tmp_path):
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path))
    tools, absent = load_needs(["inception", "lpips_vgg"], Sources().loaders())
    assert tools == {}
    assert "run `rethink-fr weights fetch inception`, or add --inception FILE" in absent["inception"]
    assert "run `rethink-fr weights fetch lpips-vgg`, or add --lpips-vgg FILE" in absent["lpips_vgg"]
    with pytest.raises(ValueError, match=r"gone.pth: no such file; expected the one of --inception"):
        Sources(inception=tmp_path / "gone.pth").loaders()
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="text.pth: ") as caught:
        load_needs(["inception"], Sources(inception=tmp_path / "text.pth").loaders())
    assert "\n" not in str(caught.value)


def test_whatever_a_metric_needs_can_be_loaded_from_somewhere():
    needs = {need for metrics in METRICS.values() for metric in metrics.values() for need in metric.needs}
    assert needs == {*Sources().loaders(), "reference", "identities", "degraded", "samples"}
