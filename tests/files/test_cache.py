"""Where the user's cache is."""

from pathlib import Path

import pytest

from rethink_fr.files.cache import CacheError, cache_directory


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"RETHINK_FR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/rethink-fr"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/rethink-fr"),
        ({}, "/home/someone/.cache/rethink-fr"),
    ],
)
def test_the_cache_is_where_the_environment_says(environment, expected, monkeypatch):
    for name in ("RETHINK_FR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/someone", **environment}.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


@pytest.mark.parametrize("chosen", ["cache", "./cache", "~nobody-of-this-name/cache"])
def test_a_cache_that_depends_on_the_working_directory_is_refused(chosen, monkeypatch):
    monkeypatch.setenv("RETHINK_FR_CACHE", chosen)
    with pytest.raises(CacheError, match=f"RETHINK_FR_CACHE is '{chosen}', expected an absolute path"):
        cache_directory()
