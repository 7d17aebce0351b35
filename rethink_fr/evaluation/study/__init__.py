"""Blind comparisons by people: the page, and the tally of its answers."""
