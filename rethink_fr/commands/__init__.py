"""The commands of `rethink-fr`, one a file: the declaration of its arguments, and the few lines that run it.

Each file has `NAME`, `SUMMARY`, `EXAMPLE`, `add_arguments(parser)` and `run(arguments)`, which returns the exit code
(see `rethink_fr.errors`); `rethink_fr.cli` lists them. What takes time to import is imported by `run`, so that help and
mistakes in arguments cost no time.
"""
