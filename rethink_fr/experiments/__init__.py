"""Experiments: the variants of a table of a paper, trained with several seeds, measured and compared."""
