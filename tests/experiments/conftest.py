"""Fixtures of the tests of experiments."""

from tests.experiments.fakes import children  # noqa: F401 (a fixture)
