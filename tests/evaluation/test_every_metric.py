"""Every metric of the table through every output: one that some table, page, report or tally does not know fails."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.evaluation.needs import Sources
from rethink_fr.evaluation.study.correlation import read_metrics
from rethink_fr.metrics.table import METRICS
from rethink_fr.pictures.files import write_image
from tests.evaluation.tiny_networks import tiny_networks

COUNT = 6
METHODS = ("A", "B", "C")
EVERY = [(protocol, name) for protocol, metrics in METRICS.items() for name in metrics]
ARROWS = {".tex": {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "nearer": r"$\rightarrow$"}}
ARROWS[".md"] = {"higher": "↑", "lower": "↓", "nearer": "→"}
BOLD = {".tex": r" & \textbf{", ".md": " | **"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Pictures of 192 x 192, which is large enough for every metric, of two people; the methods are ever worse.

    Below samples/ each method has two samples of each picture.
    """
    root, generator = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    lines = ["name,identity"]
    for number in range(COUNT):
        clean = generator.normal(128, 40, [4, 4, 3]).repeat(48, 0).repeat(48, 1)
        drawn = [
            (f"samples/{method}/{{}}_{one}", 20 + place * 20) for place, method in enumerate("ABC") for one in (1, 2)
        ]
        for path, noise in (("clean/{}", 1), ("A/{}", 30), ("B/{}", 50), ("C/{}", 70), ("degraded/{}", 80), *drawn):
            squares = generator.normal(0, noise, [4, 4, 3]) + generator.normal(0, noise / 3, 3)
            picture = clean + squares.repeat(48, 0).repeat(48, 1) + generator.normal(0, 3, clean.shape)
            write_image(root / f"{path.format(number)}.png", np.clip(picture, 0, 255).astype(np.uint8))
        lines.append(f"{number},p{number % 2}")
    (root / "people.csv").write_text("\n".join(lines))
    return root


@pytest.fixture
def networks(monkeypatch):
    """Tiny ones, and statistics, for whatever a metric of the table needs."""
    given = {
        **tiny_networks(),
        "niqe_statistics": (np.ones(36), np.eye(36)),
        "fid_statistics": (np.zeros(48), np.eye(48)),
    }
    monkeypatch.setattr(Sources, "loaders", lambda _: {need: lambda one=one: one for need, one in given.items()})


def places(folders):
    return [
        "--reference",
        folders / "clean",
        "--degraded",
        folders / "degraded",
        "--identities",
        folders / "people.csv",
    ]


class Text(HTMLParser):
    """The text of a page, cell by cell."""

    def __init__(self, page):
        super().__init__()
        self.cells = []
        self.feed(page)

    def handle_data(self, data):
        self.cells.append(" ".join(data.split()))


@pytest.mark.parametrize(("protocol", "name"), EVERY)
def test_a_metric_alone_is_in_every_output(folders, networks, tmp_path, capsys, protocol, name):
    metric = METRICS[protocol][name]
    restored = folders / "samples" if metric.of_samples else folders
    methods = [f"{method}={restored / method}" for method in METHODS]
    files = {ending: tmp_path / f"out{ending}" for ending in (".json", ".tex", ".md", ".html")}
    given = [*places(folders), "--metrics", name]
    wanted = ["--output", files[".json"], "--html", files[".html"], "--table", files[".tex"], "--table", files[".md"]]
    code = main(["evaluate", "--restored", *methods, *map(str, [*given, "--protocol", protocol, "--k", "2", *wanted])])
    printed = capsys.readouterr()
    told = [line for line in printed.err.splitlines() if line and not line.startswith("evaluating: ")]
    assert (code, told) == (0, [])  # a busy machine may show the bar

    told = json.loads(files[".json"].read_text())["metrics"][name]
    expected = {"definition": metric.definition, "unit": metric.unit, "better": metric.better}
    assert {key: told[key] for key in expected} == expected
    values = [told[method].get("mean", told[method].get("value")) for method in METHODS]
    assert np.isfinite(values).all() and all(told[method]["count"] == COUNT for method in METHODS)
    shown = [f"{value:.{metric.decimals}f}" for value in values]
    (metrics, failed) = read_metrics([files[".json"]], METHODS)  # as `study tally` does
    assert [one.name for one in metrics] == [name] and metrics[0].values == dict(zip(METHODS, values)) and failed == []

    line = next(line for line in printed.out.splitlines() if line.startswith(f"{name} "))
    better = {"nearer": "near"}.get(metric.better, metric.better)
    assert line.split()[:2] == [name, better] and all(f" {text}" in line for text in shown)
    title = metric.title + (f" ({metric.unit})" if metric.unit else "")
    title = title.replace("%", "{}")
    for ending, arrows in ARROWS.items():
        table = files[ending].read_text(encoding="utf-8")
        escaped = title.format(r"\%" if ending == ".tex" else "%")
        assert f"{escaped} {arrows[metric.better]}" in table
        # No method is the best where the degraded pictures are better, but for what compares with them.
        found = told.get("degraded") if "degraded" not in metric.needs else None
        sign = -1 if metric.better == "higher" else 1
        beaten = found is not None and sign * found.get("mean", found.get("value")) < min(sign * one for one in values)
        assert (BOLD[ending] in table) != beaten
        assert all(text in table for text in shown) and metric.definition.replace("_", r"\_")[:20] in table

    cells = Text(files[".html"].read_text(encoding="utf-8")).cells
    assert any(cell.startswith(f"{metric.title} {metric.arrow}") for cell in cells) and metric.definition in cells
    assert all(any(text == cell.partition(" ")[0] for cell in cells) for text in shown)
    in_rows = metric.of_set is None or "neighbours" in metric.needs
    assert (f"{metric.title}, A" in cells) == in_rows  # the column of the table of images
    page = files[".html"].read_text(encoding="utf-8")
    assert page.count("<svg") == ("neighbours" in metric.needs)


@pytest.mark.parametrize("protocol", list(METRICS))
def test_all_metrics_together_are_in_the_order_of_the_table(folders, networks, capsys, tmp_path, protocol):
    methods = [f"{method}={folders / 'samples' / method}" for method in METHODS]
    files = {ending: tmp_path / f"out{ending}" for ending in (".json", ".tex", ".md", ".html")}
    given = [*places(folders), "--k", "2", "--resize", "200"]
    wanted = ["--output", files[".json"], "--html", files[".html"], "--table", files[".tex"], "--table", files[".md"]]
    assert main(["evaluate", "--restored", *methods, *map(str, [*given, "--protocol", protocol, *wanted])]) == 0
    printed = capsys.readouterr().out
    assert "left out" not in printed
    assert list(json.loads(files[".json"].read_text())["metrics"]) == list(METRICS[protocol])
    assert [line.split()[0] for line in printed.splitlines()[2 : 2 + len(METRICS[protocol])]] == list(METRICS[protocol])
    for text in (printed, *(files[ending].read_text(encoding="utf-8") for ending in (".tex", ".md", ".html"))):
        assert (
            "6 images, 2 samples of each by A, B, C, protocol " in text and "48 pictures resized to 200 x 200" in text
        )
