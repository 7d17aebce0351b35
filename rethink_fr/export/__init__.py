"""Deployable models: one exporter a file; each checks what it wrote."""
