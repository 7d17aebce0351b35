"""Wheels: with TensorFlow and a compiler, a wheel for this platform that carries the library; otherwise a pure one."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from rethink_fr.ops.native.files import carried_name
from tests.command_line import ROOT
from tests.forked import ForkedPython
from tests.ops.stand_in import StandIn, write_stand_in

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in metadata.version("setuptools").split(".")[:2]) < (70, 1),
    reason="building needs setuptools 70.1 or later",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of what a build needs, without the native sources."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    ignored = shutil.ignore_patterns("__pycache__", "cc")
    shutil.copytree(ROOT / "rethink_fr", folder / "rethink_fr", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def stand_in(project) -> StandIn:
    """The native sources of the project: small ones instead of the real ones."""
    return write_stand_in(project / "rethink_fr/ops/cc")


def pip(*arguments: object, path: Path) -> None:
    """Run pip with `path` before the packages of this environment."""
    paths = os.pathsep.join([str(path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wheel(project: Path, output: Path, path: Path) -> Path:
    """The one wheel that pip builds of the project."""
    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", output, project, path=path)
    (made,) = output.glob("*.whl")
    return made


def build_py(project: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """The part of a build that copies the package and compiles the library."""
    program = "import runpy, sys; sys.argv[:1] = ['setup.py', '-q', 'build_py']; runpy.run_path('setup.py')"
    variables = {**os.environ, "RETHINK_FR_OPS": "", **environment}
    return ForkedPython(program, *arguments, cwd=project, environment=variables).wait()


def test_a_platform_wheel_works_where_there_is_no_compiler(project, stand_in, tmp_path):
    earlier = build_py(project)
    assert earlier.returncode == 0, earlier.stderr
    (folder,) = project.glob("build/lib*/rethink_fr/ops")
    (stale,) = folder.glob("*.so")
    stand_in.header.write_text("#define ANSWER 21 * 2\n", encoding="utf-8")
    os.utime(stand_in.header, (0, 0))  # as from an archive: older than the copy in build/
    made = wheel(project, tmp_path / "wheels", tmp_path)
    assert not stale.exists() and list(folder.glob("*.so"))  # the wheel was built in the same folder
    assert made.name.split("-", 2)[2].startswith("py3-none-linux_")
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    (library,) = [name for name in names if name.endswith(".so")]
    assert library.startswith(f"rethink_fr/ops/{carried_name(stand_in.sources)}-")
    assert {"rethink_fr/ops/cc/rethink_fr_ops.cc", "rethink_fr/ops/cc/parts/answer.h"} <= set(names)

    installed = tmp_path / "installed"
    pip("install", "-q", "--no-deps", "--no-compile", "--target", installed, made, path=tmp_path)
    script = (
        "from rethink_fr.ops.native import native_library; loaded = native_library().load();"
        f"print(loaded.origin, loaded.path, loaded.module.stand_in{stand_in.number}().numpy())"
    )
    nothing = {"PATH": str(tmp_path), "CXX": "", "RETHINK_FR_CACHE": str(tmp_path / "cache"), "RETHINK_FR_OPS": ""}
    environment = {**os.environ, **nothing, "PYTHONPATH": str(installed)}
    done = ForkedPython(script, cwd=installed, environment=environment).wait()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("carried by this installation") and done.stdout.endswith(" 42\n")
    assert str(installed) in done.stdout
    assert not (tmp_path / "cache").exists()


def test_a_wheel_made_without_tensorflow_is_pure_and_holds_the_sources(project, stand_in, tmp_path):
    # As in an isolated build, which has the build requirements only.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    stale = project / "build/lib/rethink_fr/ops/_native-tf2.15.1-of-an-earlier-build.so"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("stale", encoding="utf-8")
    made = wheel(project, tmp_path / "wheels", hidden)
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
    done = build_py(project, "--build-lib", tmp_path / "lib", CXX=str(compiler), TMPDIR=str(tmp_path))
    assert done.returncode == 1 and (tmp_path / "precious").read_text() == "precious"
    log = re.search(r"error: broken; the full log is (\S+?\.log);", done.stderr)
    assert log is not None, done.stderr
    assert Path(log[1]).parent == tmp_path and "error: broken" in Path(log[1]).read_text(encoding="utf-8")
