"""One file per command: the only place where the parts of the package meet."""
