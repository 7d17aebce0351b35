"""What is written of an evaluation beside JSON: tables, curves, the web page."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.evaluation.evaluate import evaluate
from rethink_fr.evaluation.report.contents import Figure, Share
from rethink_fr.evaluation.report.curves import curve_chart
from rethink_fr.evaluation.report.page import evaluation_page
from rethink_fr.evaluation.report.tables import as_latex, as_markdown, best_cells, table_text
from rethink_fr.metrics.table import METRICS
from rethink_fr.pictures.files import write_image


@pytest.fixture
def faces(tmp_path):
    """Folders clean/, good/, bad/ and degraded/ of five pictures each, with names that HTML must escape."""
    generator = np.random.default_rng(0)
    for number in range(5):
        clean = generator.normal(128, 30, [48, 40, 3])
        for folder, noise in (("clean", 0), ("good", 5), ("bad", 10), ("degraded", 8)):
            picture = clean + generator.normal(0, noise * (1 + number), clean.shape)
            write_image(tmp_path / folder / f"face <{number}>.png", np.clip(picture, 0, 255).astype(np.uint8))
    return tmp_path


@pytest.fixture
def report(faces):
    return evaluate(
        {"Ours & co_1": faces / "good", "<b>|Theirs": faces / "bad"},
        faces / "clean",
        faces / "degraded",
        metrics=["psnr", "ssim"],
        progress=False,
    )


def curve(name, values):
    shares = tuple(Share(value, (value - 0.1, value + 0.05)) for value in values)
    return Figure(METRICS["ours"]["iprecision"], name, values[-1], shares[-1].interval, 9, shares)


class Reader(HTMLParser):
    """Collects elements and text; complains of tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def test_latex_is_escaped_and_the_best_method_bold(report):
    lines = as_latex(report).splitlines()
    psnr = {figure.folder: figure.text for figure in report.figures if figure.metric.name == "psnr"}
    assert r"Method & PSNR (dB) $\uparrow$ & SSIM $\uparrow$ \\" in lines
    rows = [line.split(" & ") for line in lines if line.endswith(r"\\")][1:]
    assert rows[0][:2] == ["degraded", psnr["degraded"]]
    assert lines[6].startswith(rf"Ours \& co\_1 & \textbf{{{psnr['Ours & co_1']}}} & \textbf{{")
    assert lines[7].startswith(rf"\textless{{}}b\textgreater{{}}|Theirs & {psnr['<b>|Theirs']} & ")
    assert all(line.startswith("%") for line in lines[10:]) and "% psnr: 10 log10" in lines[10]


def test_markdown_has_as_many_cells_in_each_line(report):
    lines = as_markdown(report).splitlines()
    cells = [len(re.split(r"(?<!\\)\|", line)) for line in lines[:5]]
    assert cells == [5, 5, 5, 5, 5]
    assert lines[3].startswith("| Ours & co\\_1 | **") and lines[4].startswith("| \\<b>\\|Theirs | ")
    assert "5 images, protocol ours." in lines[6].lower() and lines[8].startswith("* PSNR (dB): 10 log10")


def test_equal_digits_are_both_bold(faces):
    report = evaluate({"A": faces / "good", "B": faces / "good"}, faces / "clean", metrics=["psnr"], progress=False)
    assert as_latex(report).count(r"\textbf{") == 2


def test_no_method_is_bold_where_the_degraded_pictures_are_better(faces):
    methods = {"A": faces / "degraded", "B": faces / "bad"}
    report = evaluate(methods, faces / "clean", faces / "good", metrics=["psnr", "consistency"], progress=False)
    assert best_cells(report) == {("consistency", "A")}  # the degraded pictures are infinitely near to themselves
    same = evaluate(methods, faces / "clean", faces / "degraded", metrics=["psnr"], progress=False)
    assert best_cells(same) == {("psnr", "A")}
    page = evaluation_page(report).decode("utf-8")
    assert page.count("<b>") == 1 and as_markdown(report).count("**") == 2


def test_a_table_needs_a_known_ending(report, tmp_path):
    assert table_text(report, tmp_path / "table.tex") == as_latex(report)
    with pytest.raises(ValueError, match=r"table.doc: expected a name ending in .tex or .md"):
        table_text(report, tmp_path / "table.doc")


def test_curves_are_valid_and_lie_where_their_values_are():
    chart = ElementTree.fromstring(
        curve_chart("iPrecision", [curve("A & <b>", (0.5, 0.75, 0.9)), curve("B", (0.4,) * 3)])
    )
    lines = [line.get("points").split() for line in chart.iter("{http://www.w3.org/2000/svg}polyline")]
    heights = [[float(point.split(",")[1]) for point in line] for line in lines]
    assert len(lines) == 2 and heights[0] == sorted(heights[0], reverse=True)  # up is less in SVG
    assert len(set(heights[1])) == 1 and heights[1][0] > heights[0][0]
    # Linear: 0.75 lies 25 / 40 of the way from 0.5 to 0.9; coordinates have one digit.
    assert heights[0][1] == pytest.approx(heights[0][0] + 0.625 * (heights[0][2] - heights[0][0]), abs=0.1)
    titles = [title.text for title in chart.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "A & <b>, k = 1: 0.5000 [0.4000, 0.5500]" and len(titles) == 6


@pytest.mark.parametrize("values", [(1.0,), (0.0, 1.0), (1.0,) * 12])
def test_curves_of_extreme_values_stay_inside(values):
    shares = tuple(Share(value, (value, value)) for value in values)
    figure = Figure(METRICS["ours"]["recall"], "A", values[-1], (1.0, 1.0), 9, shares)
    chart = curve_chart("Recall", [figure])
    ElementTree.fromstring(chart)
    for x, y in re.findall(r"translate\((\S+) (\S+)\)", chart):
        assert 0.0 <= float(x) <= 360.0 and 0.0 <= float(y) <= 250.0


def test_curves_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"Recall: curves of \[2, 3\] points"):
        curve_chart("Recall", [curve("A", (0.5, 0.6)), curve("B", (0.5, 0.6, 0.7))])


def test_the_page_is_whole_and_loads_nothing(report, tmp_path):
    (tmp_path / "page.html").write_bytes(evaluation_page(report))
    reader = read(tmp_path / "page.html")
    for tag, attributes in reader.elements:
        assert tag not in ("link", "iframe", "object") and "href" not in attributes
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
    assert any("default-src 'none'" in attributes.get("content", "") for _, attributes in reader.elements)
    text = " ".join(reader.text)
    for shown in ("Ours & co_1", "<b>|Theirs", "face <4>", "10 log10(255^2 / MSE)"):
        assert shown in text
    for figure in report.figures:
        assert figure.text in text


def test_rows_are_sorted_by_worst_and_the_worst_have_pictures(report, tmp_path):
    (tmp_path / "page.html").write_bytes(evaluation_page(report))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    bodies = re.findall("<tbody>.*?</tbody>", text)
    values = [float(re.search('data-value="([^"]+)"', body).group(1)) for body in bodies]
    assert len(values) == 5 and values == sorted(values)  # PSNR: the lowest is the worst
    with_pictures = [body.count("<img") for body in bodies]
    assert with_pictures[:3] == [4, 4, 4] and with_pictures[-1] == 0  # degraded, two methods, reference
    heads = re.findall('<th tabindex=0 class="number" data-worst="(low|high)"( aria-sort="ascending")?>', text)
    assert heads[0] == ("low", ' aria-sort="ascending"') and [sort for _, sort in heads[1:]] == [""] * 5


def test_curves_and_problems_are_on_the_page(report, tmp_path):
    from dataclasses import replace

    figures = (*report.figures, curve("Ours & co_1", (0.5, 0.6)), curve("degraded", (0.3, 0.4)))
    missing = (("lpips_vgg", "fetch <it>"),)
    (tmp_path / "page.html").write_bytes(evaluation_page(replace(report, figures=figures, missing=missing)))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 1 and "lpips_vgg: fetch &lt;it&gt;" in text
    read(tmp_path / "page.html")


def test_a_report_without_rows_is_a_page_too(faces, tmp_path):
    for file in (faces / "clean").iterdir():
        file.write_bytes(b"")
    empty = evaluate(faces / "good", faces / "clean", metrics=["psnr"], progress=False)
    (tmp_path / "page.html").write_bytes(evaluation_page(empty))
    assert "the file is empty" in " ".join(read(tmp_path / "page.html").text)


def test_one_command_writes_them_all(faces, capsys):
    restored = [f"Ours={faces / 'good'}", f"Theirs={faces / 'bad'}"]
    outputs = [faces / name for name in ("t.tex", "t.md", "p.html", "r.json")]
    arguments = ["--table", outputs[0], "--table", outputs[1], "--html", outputs[2], "--output", outputs[3]]
    places = ["--restored", *restored, "--reference", faces / "clean", "--metrics", "psnr"]
    assert main(["evaluate", *map(str, [*places, *arguments])]) == 0
    assert all(path.stat().st_size > 100 for path in outputs)
    assert "Ours" in capsys.readouterr().out
