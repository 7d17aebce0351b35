"""How files are read and written: every part of the package that touches the disk does it through here.

`reading`: regular files only, within limits. `writing`: whole or not at all, and on the disk before it counts.
`outputs`: what a command may write where. `locks`: one process at a time. `names`: file names as text.
"""
