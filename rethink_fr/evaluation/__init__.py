"""Measuring restored pictures against their references, and asking people which they prefer."""
