"""VQFR can be taken out: its import and its entry in one file name it, and the rest works without both."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "rethink_fr"


def naming_lines() -> list[tuple[Path, str]]:
    """Lines outside the folder that import from it, and the one that lists the system."""
    return [
        (path, line)
        for path in PACKAGE.rglob("*.py")
        if PACKAGE / "vqfr" not in path.parents
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"rethink_fr\.vqfr|rethink_fr import .*\bvqfr\b", line)
        or (path.name == "systems.py" and '"vqfr"' in line)
    ]


def test_one_file_outside_the_folder_names_it():
    assert [path.name for path, _ in naming_lines()] == ["systems.py"] * 2


@pytest.mark.slow
def test_the_rest_works_without_the_folder_and_those_lines(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "rethink_fr", ignore=shutil.ignore_patterns("vqfr", "__pycache__"))
    shutil.copytree(PACKAGE.parent / "configs", tmp_path / "configs")
    for path, line in naming_lines():
        file = tmp_path / path.relative_to(PACKAGE.parent)
        file.write_text(file.read_text(encoding="utf-8").replace(f"{line}\n", ""), encoding="utf-8")
    code = (
        "import importlib, pathlib, rethink_fr\n"
        "assert pathlib.Path(rethink_fr.__file__).parent == pathlib.Path('rethink_fr').resolve()\n"
        "for path in pathlib.Path('rethink_fr').rglob('*.py'):\n"
        "    if path.stem != '__main__':\n"
        "        importlib.import_module('.'.join(path.with_suffix('').parts).removesuffix('.__init__'))\n"
        "from rethink_fr.systems import SYSTEMS\n"
        "assert list(SYSTEMS) == ['rethink']\n"
        "from rethink_fr.cli import main\n"
        "open('x.pth', 'w').close()\n"
        "assert main(['info', '--config', 'smoke_64']) == 0\n"
        "assert main(['convert-vqfr', 'x.pth', '--output', 'run']) == 2\n"
    )
    environment = {"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "this installation has no VQFR" in done.stderr
