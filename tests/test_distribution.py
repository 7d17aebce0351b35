"""What is published: the source distribution and the wheel hold what they should, and work in an empty environment."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from rethink_fr import __version__
from tests.command_line import ROOT

TOP = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md")
ALSO = ("CITATION.cff", "CONTRIBUTING.md", "Dockerfile", ".dockerignore", "mkdocs.yml", "ruff.toml")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder in which `python -m build` leaves both, made from a copy of the project."""
    project = tmp_path_factory.mktemp("project")
    for name in (*TOP, *ALSO):
        shutil.copy(ROOT / name, project)
    for name in ("configs", "docs", "rethink_fr", "tests", "tools"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    pytest.importorskip("build", reason="build, of the extra 'test', is not installed")
    # Without isolation, so that nothing is downloaded; then TensorFlow can be imported, and the library is not wanted.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(project / "made"), str(project)]
    environment = {"RETHINK_FR_OPS": "reference", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(project)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in (done.stdout + done.stderr).lower()
    return project / "made"


def test_the_source_distribution_holds_what_the_repository_does(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    assert {*TOP, *ALSO} <= names
    for folder, pattern in (
        ("rethink_fr", "*.*"),
        ("configs", "*.yaml"),
        ("tests", "*.py"),
        ("docs", "*.md"),
        ("tools", "*.py"),
    ):
        files = {str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob(pattern) if file.is_file()}
        files = {file for file in files if "__pycache__" not in file and not file.endswith(".so")}
        assert files and files <= names, sorted(files - names)[:5]
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".venv"))]


def test_the_wheel_is_typed_and_says_what_it_is(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (described,) = [name for name in names if name.endswith("/METADATA")]
        metadata = archive.read(described).decode()
    assert "rethink_fr/py.typed" in names and "rethink_fr/configs/quickstart.yaml" in names
    assert any(name.startswith("rethink_fr/ops/cc/") for name in names) and not any(
        name.startswith("tests/") for name in names
    )
    for line in ("Classifier: Typing :: Typed", f"Version: {__version__}"):
        assert f"\n{line}\n" in metadata
    assert re.search(r"^License(-Expression)?: Apache-2.0$", metadata, re.M)  # by the version of setuptools
    assert len(re.findall(r"^Project-URL: ", metadata, re.M)) >= 2
    for minor in (9, 10, 11):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}\n" in metadata


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (
        citation["version"] == __version__
        and citation["license"] == "Apache-2.0"
        and citation["cff-version"] == "1.2.0"
    )
    assert [len(paper["authors"]) for paper in citation["references"]] == [8, 7]


def test_the_dockerfile_installs_what_setup_names():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for extra in re.findall(r'pip install --no-cache-dir "\.\[(\w+)\]"', text):
        assert extra in parser["options.extras_require"]
    assert re.findall(r"^FROM \S+ AS (\w+)$", text, re.M) == ["base", "cpu", "serving", "gpu"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"configs", "rethink_fr", "README.md", "LICENSE", "setup.cfg", "exported"} & set(ignored)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_installs_and_works_in_an_empty_environment(built, tmp_path, kind):
    """Takes minutes and gigabytes: TensorFlow and its companions are installed twice."""
    (path,) = built.glob(kind)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "environment")], check=True)
    binaries = tmp_path / "environment/bin"
    installed = subprocess.run([binaries / "pip", "install", "-q", str(path)], capture_output=True, text=True)
    if installed.returncode != 0 and "No matching distribution" in installed.stderr:
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr
    try:
        subprocess.run([binaries / "pip", "check"], check=True)

        def command(*arguments: str) -> str:
            done = subprocess.run(
                [binaries / "rethink-fr", *arguments],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "usage: rethink-fr" in command("--help")
        assert __version__ in command("info")
        command("train", "--config", "smoke_64", "--output", "run")
        command("export", "--model", "run", "--format", "saved_model", "--output", "exported")
        command("restore", "run/samples/final.png", "--aligned", "--model", "exported", "--output", "restored")
        assert (tmp_path / "restored/final.png").is_file() and (tmp_path / "exported/LICENSE").is_file()
    finally:
        shutil.rmtree(tmp_path / "environment", ignore_errors=True)
