"""Measuring restored pictures against their references."""
