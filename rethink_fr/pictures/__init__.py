"""Picture files: found in folders, read and written, laid out in sheets."""
