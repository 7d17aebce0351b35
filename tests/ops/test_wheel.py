"""Wheels: with TensorFlow and a compiler at hand one for the platform that carries the library, else a pure one."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Dict

import pytest

from rethink_fr.ops.library import carried_name
from tests.command_line import ROOT
from tests.ops.stand_in import StandIn, write_stand_in

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in metadata.version("setuptools").split(".")[:2]) < (70, 1),
    reason="building needs setuptools 70.1 or later",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of what is needed for building, and of nothing else; with small sources instead of the real ones."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    ignored = shutil.ignore_patterns("__pycache__", "cc")
    shutil.copytree(ROOT / "rethink_fr", folder / "rethink_fr", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def stand_in(project) -> StandIn:
    """The sources of the project."""
    return write_stand_in(project / "rethink_fr/ops/cc")


def run(*arguments: str, environment: Dict[str, str], path: Path) -> str:
    """Output of `python ARGUMENTS`, with `path` before the packages of this environment."""
    paths = os.pathsep.join([str(path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def wheel(project: Path, output: Path, environment: Dict[str, str], path: Path) -> Path:
    """The one wheel that pip builds of the project."""
    command = [
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(output),
        str(project),
    ]
    run(*command, environment=environment, path=path)
    (made,) = output.glob("*.whl")
    return made


def test_a_platform_wheel_works_where_there_is_no_compiler(project, stand_in, tmp_path):
    wheel(project, tmp_path / "earlier", {}, tmp_path)
    (stand_in.sources / "answer.h").write_text("#define ANSWER 21 * 2\n", encoding="utf-8")
    os.utime(stand_in.sources / "answer.h", (0, 0))  # as from an archive: older than the copy in build/
    made = wheel(project, tmp_path / "wheels", {}, tmp_path)
    assert made.name.split("-", 2)[2].startswith("py3-none-linux_")
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    (library,) = [name for name in names if name.endswith(".so")]  # not the one that the earlier build left in build/
    assert library.startswith(f"rethink_fr/ops/{carried_name(stand_in.sources)}-")
    assert {"rethink_fr/ops/cc/rethink_fr_ops.cc", "rethink_fr/ops/cc/answer.h"} <= set(names)

    installed = tmp_path / "installed"
    run("-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(made), environment={}, path=tmp_path)
    script = (
        "from rethink_fr.ops.native import native_library; loaded = native_library().load();"
        f"print(loaded.origin, loaded.path, loaded.module.stand_in{stand_in.number}().numpy())"
    )
    nothing = {"PATH": str(tmp_path), "CXX": "", "RETHINK_FR_CACHE": str(tmp_path / "cache"), "RETHINK_FR_OPS": ""}
    output = run("-c", script, environment=nothing, path=installed)
    # Other lines are TensorFlow's, on stderr.
    (line,) = [line for line in output.splitlines() if line.startswith("carried by this installation")]
    assert str(installed) in line and line.endswith(" 42")
    assert not (tmp_path / "cache").exists()


def test_a_wheel_made_without_tensorflow_is_pure_and_holds_the_sources(project, stand_in, tmp_path):
    # As in an isolated build, which has the build requirements only.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    stale = project / "build/lib/rethink_fr/ops/_native-tf2.15.1-of-an-earlier-build.so"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("stale", encoding="utf-8")
    made = wheel(project, tmp_path / "wheels", {}, hidden)
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith(".so")]
    assert {"rethink_fr/ops/cc/rethink_fr_ops.cc", "rethink_fr/configs/quickstart.yaml"} <= set(names)


def test_a_build_that_fails_keeps_its_log_under_a_name_that_nobody_can_foresee(project, stand_in, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken 1.0 && exit 0\necho error: broken; exit 1\n')
    compiler.chmod(0o755)
    (tmp_path / "rethink-fr-build.log").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("precious")
    environment = {**os.environ, "CXX": str(compiler), "TMPDIR": str(tmp_path), "RETHINK_FR_OPS": ""}
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    done = subprocess.run(command, env=environment, cwd=project, capture_output=True, text=True)
    assert done.returncode == 1 and (tmp_path / "precious").read_text() == "precious"
    log = re.search(r"error: broken; the full log is (\S+?\.log);", done.stderr)
    assert log is not None, done.stderr
    assert Path(log[1]).parent == tmp_path and "error: broken" in Path(log[1]).read_text(encoding="utf-8")
