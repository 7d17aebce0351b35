"""The documentation: links and names in it exist, no page is forgotten, and the site is built of it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.command_line import ROOT
from tests.tools.loading import load_tool

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = {"index.md", "contributing.md", "changelog.md", "example.md"}  # by tools/docs_pages.py
LINK = re.compile(r"\[([^\[\]]*)\]\((?!https?:)([^()\s#]*)(?:#([^()\s]*))?\)")


def links(page: Path) -> list[tuple[str, str, str]]:
    """The relative links of a page: text, file and anchor."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return LINK.findall(prose)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as a code host makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defined(path: Path) -> set[str]:
    """The classes and functions of a source file, and their methods with the class before them."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names.update(f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_work_on_a_code_host(page):
    for text, target, anchor in links(page):
        file = (page.parent / target).resolve() if target else page
        assert file.is_file() and file.is_relative_to(ROOT), f"{text}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{text}: {target}#{anchor}"
        if file.suffix == ".py":
            assert text.strip("`") in defined(file), f"{text} is not in {target}"


def test_every_equation_names_who_computes_it():
    text = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    for section in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        if "$$" in section:
            assert "](../rethink_fr/" in section.rpartition("$$")[2], title
    assert text.count("](../rethink_fr/") > 60


def test_every_measured_figure_names_its_command_and_its_commit():
    tables = (ROOT / "docs/measured.md").read_text(encoding="utf-8").partition("\n## ")[0].split("\n\n")
    head, _, *rows = next(part.splitlines() for part in tables if part.startswith("|"))
    assert head == "| what | figure | command | commit |" and len(rows) > 20
    for row in rows:
        *_, command, commit = row.strip("| ").split(" | ")
        assert re.search("`.+`", command) or command == "the same", row
        assert re.fullmatch("[0-9a-f]{7}", commit), row


def test_every_page_is_in_the_navigation():
    def pages(entries) -> list[str]:
        if isinstance(entries, str):
            return [entries]
        parts = entries.values() if isinstance(entries, dict) else entries
        return [page for part in parts for page in pages(part)]

    navigation = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert len(navigation) == len(set(navigation))
    assert set(navigation) == MADE | {page.name for page in (ROOT / "docs").glob("*.md")}


def test_docstrings_become_plain_google_style():
    pytest.importorskip("griffe", reason="griffe, of the extra 'docs', is not installed")
    module = load_tool("docs_docstrings")
    ours = (
        "What it does:\n    a = b + c\nAnd then.\n\nCall with `(x, y)`:\n    x: one.\n    y:  two,\n"
        "        at length.\nReturns three.\n\nArgs:\n    low, high: the range,\n        in pixels.\n\nExample:\n"
        "    layer = Layer()\n\nExample:\n    >>> 1\n    1"
    )
    assert module.plain(ours) == (
        "What it does:\n\n    a = b + c\n\nAnd then.\n\nCall with `(x, y)`:\n\n* `x`: one.\n* `y`: two,\n"
        "        at length.\n\n"
        "Returns three.\n\nArgs:\n    low: the range,\n        in pixels.\n    high: see `low`.\n\n"
        "Examples:\n        layer = Layer()\n\nExamples:\n    >>> 1\n    1"
    )


@pytest.mark.slow
def test_the_site_is_built_and_asks_no_other_host(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs, of the extra 'docs', is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="?([^" >]+)|<link[^>]+href="?([^" >]+)', page.read_text())
        assert not [one for pair in loaded for one in pair if re.match(r"(https?:)?//", one)], page.name
    equations = (tmp_path / "equations.html").read_text(encoding="utf-8")
    source = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    assert (
        equations.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == source.count("$$") // 2
    )
    assert "arithmatex" not in equations and "../rethink_fr" not in equations
    assert 'href="reference/layers.html#rethink_fr.layers.quantizer.VectorQuantizer"' in equations
    layers = (tmp_path / "reference/layers.html").read_text(encoding="utf-8")
    for section in ("Parameters:", "Attributes:", "Returns:", "Raises:", "Examples:"):
        assert section in layers


def test_the_card_in_the_package_is_the_page():
    assert (ROOT / "rethink_fr/models/mini128/card.md").read_bytes() == (ROOT / "docs/mini128.md").read_bytes()
