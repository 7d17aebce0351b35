"""Rules of the house, held by reading the source."""

import ast
import configparser
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line import ROOT

PACKAGE = ROOT / "rethink_fr"

# The rooms of the house from the ground up. Each may import from those below it, never from its own row.
ROWS = (
    {"addons", "files", "types", "images"},
    {"errors", "config", "ops", "pictures"},
    {"layers", "weights"},
    {"losses", "drawn_faces", "faces"},
    {"data", "film", "metrics", "system"},
    {"restorer", "vqfr"},
    {"models", "systems"},
    {"runs"},
    {"training", "inference", "evaluation"},
    {"app", "doctor", "experiments", "exporting", "scale_out"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
# What each room imports. A new line here is a decision: the house is as simple as this table.
ALLOWED = {
    "errors": {"files"},
    "config": {"files", "types"},
    "ops": {"files"},
    "pictures": {"addons", "files"},
    "layers": {"ops"},
    "metrics": {"files", "images", "losses"},
    "weights": {"errors", "files"},
    "losses": {"images", "layers", "weights"},
    "data": {"drawn_faces", "errors", "faces", "files", "images", "pictures", "types"},
    "restorer": {"addons", "config", "layers", "losses", "system"},
    "vqfr": {"config", "layers", "losses", "system", "weights"},
    "models": {"restorer"},
    "systems": {"restorer", "system", "vqfr"},
    "runs": {"config", "data", "errors", "files", "system", "systems", "weights"},
    "faces": {"files", "pictures", "weights"},
    "film": {"faces", "files", "pictures"},
    "inference": {"faces", "files", "film", "images", "metrics", "ops", "pictures", "runs", "system"},
    "exporting": {
        "data",
        "drawn_faces",
        "errors",
        "files",
        "images",
        "inference",
        "layers",
        "metrics",
        "ops",
        "pictures",
        "runs",
        "system",
        "weights",
    },
    "training": {
        "config",
        "data",
        "errors",
        "files",
        "images",
        "layers",
        "metrics",
        "ops",
        "pictures",
        "runs",
        "system",
        "systems",
    },
    "doctor": {
        "config",
        "data",
        "errors",
        "files",
        "ops",
        "pictures",
        "runs",
        "systems",
        "training",
        "weights",
    },
    "app": {"faces", "files", "inference", "pictures"},
    "experiments": {
        "config",
        "drawn_faces",
        "errors",
        "evaluation",
        "files",
        "inference",
        "metrics",
        "pictures",
        "runs",
    },
    "scale_out": {
        "data",
        "errors",
        "evaluation",
        "faces",
        "files",
        "film",
        "inference",
        "metrics",
        "pictures",
        "system",
    },
    "evaluation": {"data", "errors", "files", "images", "losses", "metrics", "ops", "pictures", "runs", "weights"},
    "commands": {
        "app",
        "config",
        "data",
        "doctor",
        "errors",
        "evaluation",
        "experiments",
        "exporting",
        "faces",
        "files",
        "film",
        "inference",
        "metrics",
        "ops",
        "runs",
        "scale_out",
        "systems",
        "training",
        "weights",
    },
    "cli": {"commands", "errors"},
    "__main__": {"cli"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Parts of the package that a file imports, at any depth of the code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rethink_fr":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("rethink_fr.")]
        found.update(name for name in names if name != "__version__")
    return found


def test_a_room_stands_on_those_below_it_only():
    row = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()} - {"__init__"}
    assert rooms == set(row)
    for room, others in ALLOWED.items():
        assert all(row[other] < row[room] for other in others), room


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    forbidden = imported(path) - ALLOWED.get(part, set()) - {part}
    assert not forbidden, f"{path.relative_to(ROOT)} may not import {', '.join(sorted(forbidden))}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_or_old_tensorflow_is_used(path):
    text = path.read_text(encoding="utf-8")
    assert "tensorflow.python" not in text
    assert "tf.compat.v1" not in text


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_public_name_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_importing_the_package_is_quick_and_leaves_tensorflow_alone():
    code = "import sys, rethink_fr, rethink_fr.cli; assert not {'tensorflow', 'keras_cv'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_what_is_asked_before_tensorflow_loads_does_not_load_it():
    rooms = ("files", "config", "commands", "faces", "film", "pictures")
    light = [path for room in rooms for path in (PACKAGE / room).glob("*.py")]
    light += [PACKAGE / name for name in ("errors.py", "types.py", "system.py", "systems.py")]
    light += [PACKAGE / name for name in ("runs/config_file.py", "runs/resolve.py", "inference/restore.py")]
    light += [PACKAGE / "inference" / name for name in ("folder.py", "photo_plan.py", "background.py")]
    light += (PACKAGE / "experiments").glob("*.py")
    light += [PACKAGE / "app" / name for name in ("desk.py", "gate.py", "results.py", "serve.py", "view.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in light]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    code += "    assert not {'tensorflow', 'gradio'} & set(sys.modules), name"
    subprocess.run([sys.executable, "-c", code, *names], check=True, cwd=ROOT)


def test_names_of_the_public_face_load_on_first_use():
    import rethink_fr

    assert callable(rethink_fr.load_restorer)
    assert callable(rethink_fr.data.degrade)
    assert callable(rethink_fr.training.diff_augment)
    assert callable(rethink_fr.metrics.psnr)
    assert rethink_fr.models.Restorer and rethink_fr.models.Discriminator
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rethink_fr.nothing  # noqa: B018


def test_setup_names_every_package():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    named = set(parser["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert named == found | {"rethink_fr.configs"}


@pytest.mark.parametrize("room", ["evaluation", "exporting"])
def test_a_wheel_carries_what_pages_are_made_of(room):
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    carried = parser["options.package_data"][f"rethink_fr.{room}"].split()
    found = {path for path in (PACKAGE / room).rglob("*.*") if path.suffix in (".html", ".css", ".js", ".svg")}
    assert found and found <= {path for pattern in carried for path in (PACKAGE / room).glob(pattern)}


def test_ci_runs_what_the_readme_says():
    readme, script = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / ".ci/run").read_text(encoding="utf-8")
    for step in ('install -q ".[test]"', "-m pytest"):
        assert step in readme and step in script


def test_help_answers_without_loading_tensorflow():
    # No clock: what would make it slow are imports.
    code = (
        "import sys; from rethink_fr.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'tensorflow', 'numpy', 'PIL', 'yaml', 'tqdm', 'importlib.metadata'} & set(sys.modules)"
    )
    started = time.perf_counter()
    output = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert "example: rethink-fr train" in output
    print(f"--help took {time.perf_counter() - started:.2f} s")
