"""Picture files: read safely, written whole, laid out in sheets."""
