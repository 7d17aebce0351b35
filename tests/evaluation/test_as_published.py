"""Evaluation as papers have it: sets without references, statistics, identities, scatters, figures side by side."""

import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr.cli import main
from rethink_fr.evaluation import evaluate as evaluate_module
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.fid_statistics import read_fid_statistics
from rethink_fr.evaluation.needs import Sources
from rethink_fr.evaluation.pairs import read_identities
from rethink_fr.evaluation.report.contents import Figure, Share
from rethink_fr.evaluation.report.grid import chosen_rows, grid_picture
from rethink_fr.evaluation.report.page import evaluation_page
from rethink_fr.evaluation.report.scatter import scatter_chart
from rethink_fr.metrics import coverage, frechet_distance
from rethink_fr.metrics.table import METRICS
from rethink_fr.pictures.files import read_image, write_image
from tests.command_line import shell_block
from tests.evaluation.tiny_networks import tiny_networks

COUNT, SIDE = 6, 192
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """clean/, degraded/, A/, B/ (one restoration each) and samples/ (two draws), of 192 px."""
    root, generator = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for number in range(COUNT):
        clean = generator.normal(128, 40, [4, 4, 3])
        for path, noise in (
            ("clean/{}", 0), ("A/{}", 20), ("B/{}", 40), ("degraded/{}", 60), ("samples/{}_1", 20), ("samples/{}_2", 30)
        ):  # fmt: skip
            squares = (clean + generator.normal(0, noise, clean.shape)).repeat(48, 0).repeat(48, 1)
            picture = np.clip(squares + generator.normal(0, 3, squares.shape), 0, 255).astype(np.uint8)
            write_image(root / f"{path.format(f'face{number}')}.png", picture)
    return root


@pytest.fixture
def loaders(monkeypatch):
    given = {**tiny_networks(), "niqe_statistics": (np.ones(36), np.eye(36))}
    made = {need: lambda one=one: one for need, one in given.items()}

    published = Sources.loaders

    def with_files(sources):
        return {**made, "fid_statistics": published(sources)["fid_statistics"]}

    monkeypatch.setattr(Sources, "loaders", with_files)
    return made


def pictures(folder):
    return np.stack([read_image(folder / f"face{number}.png") for number in range(COUNT)])


def test_a_set_without_references(folders, loaders, tmp_path, capsys):
    methods = [f"{name}={folders / name}" for name in ("A", "samples")]
    assert main(["evaluate", "statistics", str(folders / "clean"), "--output", str(tmp_path / "clean.npz")]) == 0
    given = ["--degraded", str(folders / "degraded"), "--fid-statistics", str(tmp_path / "clean.npz")]
    wanted = ["--output", str(tmp_path / "r.json"), "--html", str(tmp_path / "p.html")]
    assert main(["evaluate", "--restored", *methods, *given, *wanted]) == 0
    printed = capsys.readouterr()
    assert "6 images, 2 samples of each by samples, without references, protocol ours" in printed.out
    assert "without --reference, what compares with references is left out" in printed.out
    assert "left out" not in printed.out.replace("is left out", "")  # the rest could all be computed
    report = json.loads((tmp_path / "r.json").read_text())
    without = [name for name, metric in METRICS["ours"].items() if "reference" not in metric.needs]
    assert list(report["metrics"]) == without and {"niqe", "fid_statistics", "diversity"} <= set(without)
    assert list(report["folders"]) == ["A", "samples", "degraded"] and report["samples"]["samples"] == 2
    look = loaders["inception"]()
    expected = frechet_distance(look(pictures(folders / "A")), look(pictures(folders / "clean")))
    assert report["metrics"]["fid_statistics"]["A"]["value"] == pytest.approx(expected)
    assert main(["evaluate", "--restored", str(folders / "A"), "--metrics", "psnr,niqe"]) == 1
    assert "psnr: compares with references; add --reference DIR" in capsys.readouterr().err
    page = (tmp_path / "p.html").read_text("utf-8")
    assert "degraded of face0" in page and "reference of" not in page and "Side by side" in page


def test_without_references_the_first_method_decides_the_size(folders, loaders, tmp_path):
    write_image(tmp_path / "small" / "face0.png", np.zeros([64, 64, 3], np.uint8))
    write_image(tmp_path / "large" / "face0.png", pictures(folders / "A")[0])
    both = {"large": tmp_path / "large", "small": tmp_path / "small"}
    report = evaluate(both, None, metrics=["niqe"], resize="reference", loaders=loaders, progress=False)
    assert report.resized == {"large": 0, "small": 1} or report.failed  # flat pictures have no NIQE
    assert (
        evaluate(both, None, metrics=["code_usage"], loaders=loaders, progress=False)
        .failed[0][0]
        .endswith("small/face0.png")
    )


def test_statistics_of_a_folder(folders, loaders, tmp_path, capsys):
    some, file = tmp_path / "some", tmp_path / "some.npz"
    for number, picture in enumerate(pictures(folders / "A")):
        write_image(some / str(number) / "a.png", picture[: SIDE - 16 * (number % 2)])  # of two sizes
    (some / "bad.png").write_bytes(b"no picture")
    assert main(["evaluate", "statistics", str(some), "--output", str(file)]) == 1
    printed = capsys.readouterr()
    assert "statistics of 6 pictures in" in printed.out and "bad.png: not an image" in printed.err
    with np.load(file) as stored:
        assert sorted(stored) == ["images", "mu", "sigma"] and stored["images"] == COUNT
    look = loaders["inception"]()
    features = np.concatenate([look(read_image(some / str(n) / "a.png")[None]) for n in range(COUNT)])
    mean, covariance = read_fid_statistics(file)
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-5)  # float32 there
    np.testing.assert_allclose(covariance, np.cov(features, rowvar=False), rtol=1e-5, atol=1e-6)
    assert main(["evaluate", "statistics", str(some), "--output", str(file)]) == 2
    assert "some.npz: is there already; choose another --output" in capsys.readouterr().err
    assert main(["evaluate", "statistics", str(some), "--output", str(some / "0/a.png"), "--overwrite"]) == 2
    assert "is the same file as the input" in capsys.readouterr().err
    assert main(["evaluate", "statistics", str(some), "--output", str(file), "--overwrite", "--resize", "96"]) == 1
    assert not np.array_equal(read_fid_statistics(file)[0], mean)
    (tmp_path / "one").mkdir()
    capsys.readouterr()
    assert main(["evaluate", "statistics", str(tmp_path / "one"), "--output", str(tmp_path / "o.npz")]) == 2
    assert "one: 0 pictures can be used; expected two or more" in capsys.readouterr().err


def test_evaluate_without_restored_is_a_mistake_in_the_call(capsys):
    assert main(["evaluate", "--reference", "x"]) == 2
    assert "--restored: is missing; expected a folder" in capsys.readouterr().err


@pytest.mark.parametrize("restored", ["A", "samples"])
def test_each_source_picture_is_an_identity(folders, loaders, restored):
    names = ["precision", "recall", "iprecision", "irecall"]
    given = {"identities": "source", "metrics": names, "k": 2, "loaders": loaders, "progress": False}
    report = evaluate(folders / restored, folders / "clean", **given)
    embed = loaders["neighbours"]()
    files = [[f"face{n}_{draw}" for n in range(COUNT)] for draw in (1, 2)]
    files = files if restored == "samples" else [[f"face{n}" for n in range(COUNT)]]
    real, own = embed(pictures(folders / "clean")), np.arange(COUNT)
    found = []
    for draw in files:
        fake = embed(np.stack([read_image(folders / restored / f"{name}.png") for name in draw]))
        found.append(coverage(real, fake, own, own, 2))
        distance = np.linalg.norm(real - fake, axis=1)  # a picture's own reference is the only one that counts
        radius = np.sort(np.linalg.norm(real[:, None] - real, axis=2), axis=1)[:, 2]
        np.testing.assert_array_equal(found[-1].fake_inside_own[:, -1], distance <= radius)
    for name, field in (("iprecision", "fake_inside_own"), ("irecall", "real_inside_own"), ("recall", "real_inside")):
        answers = np.mean([getattr(one, field)[:, -1] for one in found], axis=0)
        assert [row.values["restored"][name] for row in report.rows] == pytest.approx(list(answers))
        assert report.cells[name, "restored"].value == pytest.approx(answers.mean())
    assert [row.identity for row in report.rows] == [row.name for row in report.rows]


def test_the_answers_of_each_picture_are_on_the_page(folders, loaders, tmp_path):
    names = ["psnr", "precision", "recall", "iprecision", "irecall"]
    given = {"identities": "source", "metrics": names, "k": 2, "loaders": loaders, "progress": False}
    report = evaluate({"A": folders / "A", "B": folders / "B"}, folders / "clean", folders / "degraded", **given)
    assert all(list(row.values[folder]) == names for row in report.rows for folder in report.columns)
    page = evaluation_page(report).decode("utf-8")
    assert "iPrecision, A" in page and "Recall, degraded" in page
    charts = [ElementTree.fromstring(f"<svg{one.partition('</svg>')[0]}</svg>") for one in page.split("<svg")[1:]]
    assert [chart.get("aria-label") for chart in charts] == [
        "iPrecision over k", "iRecall over k", "Precision over k", "Recall over k",
        "iPrecision over iRecall", "Precision over Recall",
    ]  # fmt: skip
    titles = [title.text for title in charts[-1].iter(f"{SVG}title")]
    up, along = report.cells["precision", "B"].by_k[0].value, report.cells["recall", "B"].by_k[0].value
    assert titles[2] == f"B, k = 1: Precision {up:.4f}, Recall {along:.4f}" and len(titles) == 2 * 3


def test_points_of_a_scatter_lie_where_their_values_are():
    def figure(name, values):
        shares = tuple(Share(value, (value, value)) for value in values)
        return Figure(METRICS["ours"][name], "A & B", values[-1], None, 9, shares)

    chart = scatter_chart([(figure("precision", (0.0, 1.0)), figure("recall", (0.5, 1.0)))])
    (line,) = ElementTree.fromstring(chart).iter(f"{SVG}polyline")
    assert line.get("points").split() == ["201.0,316.0", "346.0,26.0"]  # 56 to 346 along, 316 to 26 up
    with pytest.raises(ValueError, match="as many shares over k"):
        scatter_chart([(figure("precision", (0.0, 1.0)), figure("recall", (0.5,)))])


def test_a_figure_of_chosen_pictures(folders, tmp_path, capsys):
    methods = [f"{name}={folders / name}" for name in ("A", "B")]
    places = ["--reference", folders / "clean", "--degraded", folders / "degraded", "--metrics", "psnr"]
    wanted = ["--grid", tmp_path / "g.png", "--html", tmp_path / "p.html", "--grid-images", "face4", "face1", "none"]
    assert main(["evaluate", "--restored", *methods, *map(str, [*places, *wanted])]) == 1
    printed = capsys.readouterr()
    assert "--grid-images none: no picture of that name was measured" in printed.err and "figure: " in printed.out
    page = (tmp_path / "p.html").read_text("utf-8")
    assert page.index("A of face4") < page.index("A of face1") < page.index("<h2>Images")
    shown = np.asarray(Image.open(tmp_path / "g.png"))
    line, step = 28, SIDE + 4  # letters of 19 px, cells of 192
    assert shown.shape == (line + 2 * step, line + 4 * step, 3)
    for row, name in enumerate(("face4", "face1")):
        for column, folder in enumerate(("degraded", "A", "B", "clean")):
            top, left = line + row * step, line + column * step
            np.testing.assert_array_equal(
                shown[top : top + SIDE, left : left + SIDE], read_image(folders / folder / f"{name}.png")
            )
    assert (shown[:line, line : line + SIDE] < 100).any() and (shown[line : line + SIDE, :line] < 100).any()  # labels


def test_the_commands_of_the_guide(folders, loaders, tmp_path, monkeypatch, capsys):
    """As they stand there, but for the networks: the weights of Inception and the statistics of NIQE are downloads."""
    block = shell_block("evaluation.md", "As papers have it")
    lines = [line.partition("  #")[0].split() for line in block.splitlines()]
    assert [line[0] for line in lines] == ["rethink-fr"] * 3
    same = (("clean", "clean"), ("degraded", "degraded"))
    for folder, source in (("ffhq512", "clean"), ("lfw", "degraded"), ("ours", "A"), ("vqfr", "B"), *same):
        for number, name in enumerate(("00012", "00047")):
            write_image(tmp_path / folder / f"{name}.png", pictures(folders / source)[number])
    (tmp_path / "NIQE.npz").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert main(line[1:]) == 0, capsys.readouterr().err
    assert "2 images, without references" in capsys.readouterr().out
    assert Image.open("figure.png").width > 4 * SIDE and Path("report.html").is_file()


def test_figures_of_a_number_of_pictures_and_of_those_that_were_resized(folders):
    report = evaluate(folders / "A", folders / "clean", metrics=["psnr"], resize=64, progress=False)
    rows, missing = chosen_rows(report, ["3"])
    assert [row.name for row in rows] == ["face0", "face2", "face5"] and missing == []
    assert len(chosen_rows(report, ["99"])[0]) == COUNT and chosen_rows(report, ["0"])[1]
    picture = Image.open(io.BytesIO(grid_picture(report, rows)))
    assert picture.size == (20 + 2 * 132, 20 + 3 * 132)  # 64 px, twice as large


def test_a_grid_needs_the_ending_of_its_format(folders, capsys, monkeypatch):
    monkeypatch.delattr(evaluate_module, "measure")
    assert main(["evaluate", "--restored", str(folders / "A"), "--grid", "g.jpg"]) == 2
    assert "--grid g.jpg: expected a name ending in .png" in capsys.readouterr().err


@pytest.fixture
def lists(tmp_path):
    """The two lists in the form in which they are published."""
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 2937\n119614.jpg 12\n099095.jpg 12\n")
    (tmp_path / "mapping.txt").write_text(
        "idx         orig_idx    orig_file\n0           119613      119614.jpg\n1           99094       099095.jpg\n"
        "12          1           000002.jpg\n"
    )
    return tmp_path / "identity_CelebA.txt", tmp_path / "mapping.txt"


def test_celebas_list_of_identities(lists, tmp_path):
    identities, mapping = lists
    assert read_identities(identities, ["000002", "test/000001"]) == {"000002": "2937", "test/000001": "2880"}
    names = ["0", "00001", "test/00000012"]
    assert read_identities(identities, names, mapping) == dict(zip(names, ("12", "12", "2937")))
    with pytest.raises(ValueError, match="no identity for 0, 1; expected each .*--identity-mapping for CelebA-HQ"):
        read_identities(identities, ["0", "1"])
    with pytest.raises(ValueError, match="no identity for face; expected each picture's number in CelebA-HQ"):
        read_identities(identities, ["face"], mapping)
    with pytest.raises(ValueError, match="line 1 has not a number|expected a first line 'idx orig_idx orig_file'"):
        read_identities(identities, names, identities)
    (tmp_path / "people.csv").write_text("name,identity\n0,Ann\n")
    with pytest.raises(ValueError, match="people.csv: is not CelebA's list of identities, which a mapping is for"):
        read_identities(tmp_path / "people.csv", ["0"], mapping)


@pytest.mark.parametrize(
    "line, message",
    [
        ("000009.jpg\n", "line 5 is not of CelebA's list"),
        ("a,b\n", "line 5 is not of CelebA's list"),
        ("000001.jpg 7\n", "line 5 gives 000001 another identity"),
    ],
)
def test_lines_that_are_not_of_celebas_list(lists, line, message):
    with open(lists[0], "a") as file:
        file.write(line)
    with pytest.raises(ValueError, match=f"identity_CelebA.txt: {message}"):
        read_identities(lists[0], ["000001"])
    with open(lists[1], "a") as file:
        file.write("x y z\n")
    (lists[0]).write_text("000001.jpg 2880\n")
    with pytest.raises(ValueError, match="mapping.txt: line 5 has not a number and a file"):
        read_identities(lists[0], ["000001"], lists[1])
