"""Hooks of MkDocs: pages that are made from other files, and links that work on a code host as well as on the site.

On a code host a page links to files of the repository. On the site, a link to the README goes to the index, and one to
a source file of the package goes to its part of the reference: to the class or function that the link's text names, if
there is one.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Dict, List, Optional

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rethink_fr"
NOTEBOOK = ROOT / "docs" / "example.ipynb"
# Pages of the site that are made from files outside docs/.
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s#]+)(?P<anchor>#[^()\s]*)?\)")
_MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation."""
    rooms = [{name: f"reference/{name}.md"} for name in reference_pages()]
    config.nav.insert(-1, {"Reference": rooms})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in ROOT_PAGES.items()}
    made.update({f"reference/{name}.md": text for name, text in reference_pages().items()})
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    for page, content in notebook_page().items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages."""
    here = page.file.src_uri
    source = next((name for name, made in ROOT_PAGES.items() if made == here), f"docs/{here}")

    def moved(link: re.Match) -> str:
        target, anchor = place(source, link["target"], link["text"])
        if target is None:
            return link[0]
        relative = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"[{link['text']}]({relative}{link['anchor'] or anchor})"

    return _LINK.sub(moved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn TeX into MathML, which browsers draw without scripts and fonts from elsewhere."""

    def drawn(found: re.Match) -> str:
        tex = found[2].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
        return convert(tex, display="block" if found[1] == "div" else "inline")

    return _MATH.sub(drawn, html)


def place(source: str, target: str, text: str) -> tuple[Optional[str], str]:
    """Where the site has a file that a page links to: the page and an anchor; None if it is no file of the repository.

    Args:
        source: the linking file in the repository.
        target: the link, relative to it.
        text: of the link; a name in backticks chooses a class or function of a source file.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in ROOT_PAGES:
        return ROOT_PAGES[path], ""
    if path == "docs/example.ipynb":
        return "example.md", ""
    if path.startswith("docs/"):
        return path.removeprefix("docs/"), ""
    if path.startswith("rethink_fr/") and path.endswith(".py") and (ROOT / path).is_file():
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        name = text.strip("`").removesuffix("()")
        named = name if name.split(".")[0] in defined_names(ROOT / path) else ""
        return f"reference/{room(ROOT / path)}.md", f"#{module}.{named}".rstrip(".")
    return None, ""


def room(path: Path) -> str:
    """The page of the reference that a source file is on: its folder's, or that of the package."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else "rethink_fr"


def reference_pages() -> Dict[str, str]:
    """The text of each page of the reference: one for the package, one for each of its folders."""
    pages: Dict[str, List[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.name != "__init__.py", path)):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.name == "__main__.py" or module.endswith(".public") or not path.read_text(encoding="utf-8").strip():
            continue
        name = room(path)
        title = "rethink_fr" if name == "rethink_fr" else f"rethink_fr.{name}"
        parts = pages.setdefault(name, [f"# {title}\n"])
        if module == title:
            parts.append(
                f"::: {module}\n    options: {{members: false, show_root_heading: false, show_root_toc_entry: false}}\n"
            )
            parts.append(public_names(path))
        elif path.name != "__init__.py":
            parts.append(f"::: {module}\n")
    return {name: "\n".join(parts) for name, parts in sorted(pages.items(), key=lambda page: page[0] != "rethink_fr")}


def public_names(package: Path) -> str:
    """A line that says what can be imported from a package itself, with links to where it is described."""
    found: List[str] = []
    for path in (package, package.with_name("public.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else []:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rethink_fr."):
                names = [name.name for name in node.names if name.name != "public"]
                found += [f"[`{name}`][{node.module}.{name}]" for name in names]
    return f"From `{'.'.join(package.parent.relative_to(ROOT).parts)}` itself: {', '.join(found)}.\n" if found else ""


def defined_names(path: Path) -> List[str]:
    """The classes and functions of a source file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]


def notebook_page() -> Dict[str, object]:
    """The example notebook as a page, and the pictures in it."""
    text, resources = MarkdownExporter().from_filename(str(NOTEBOOK))
    return {"example.md": text, **resources["outputs"]}
