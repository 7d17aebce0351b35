"""Programs in `tools/` as modules: that folder is no package, so they cannot be imported by name."""

from __future__ import annotations

import importlib.util
from typing import Any

from tests.command_line import ROOT


def load_tool(name: str) -> Any:
    """The module that is made of `tools/NAME.py`."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
