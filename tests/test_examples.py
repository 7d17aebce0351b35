"""The examples in the docstrings of the package work, and every layer that a user builds has one."""

import doctest
import importlib
import inspect

import pytest

from rethink_fr import layers
from tests.command_line import ROOT

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "rethink_fr").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_say(name):
    assert not doctest.testmod(importlib.import_module(name)).failed


@pytest.mark.parametrize("name", layers.__all__)
def test_every_layer_has_an_example(name):
    example = inspect.getdoc(getattr(layers, name)).partition("Example:\n")[2]
    assert example.lstrip().startswith(">>> ") and f"{name}(" in example
