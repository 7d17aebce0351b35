"""Millions of pictures: what a command does with each of them, done by an Apache Beam pipeline on many machines.

The code for each picture is the one that the local command runs; here is what is around it. Apache Beam (the extra
`beam`) is imported once `--runner` is given.
"""
