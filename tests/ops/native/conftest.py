"""Fixtures of the tests of the native library: stand-ins for its sources, its installation and its cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from rethink_fr.ops.native import NativeLibrary, process


@pytest.fixture()
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture()
def installation(tmp_path) -> Path:
    """The folder of our modules, where a wheel puts the library that it carries."""
    folder = tmp_path / "installation"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture()
def library(stand_in, installation, cache) -> NativeLibrary:
    return NativeLibrary(stand_in.sources, installation, cache)


@pytest.fixture()
def process_library(library, monkeypatch) -> NativeLibrary:
    """The stand-in as the library of this process, which has not asked for it yet."""
    monkeypatch.setattr(process, "_library", library)
    monkeypatch.setattr(process, "_warned", False)
    monkeypatch.delenv("RETHINK_FR_OPS", raising=False)
    return library
