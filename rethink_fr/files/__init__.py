"""How files are read and written. Every part of the package that touches the disk does it through these modules.

`reading` opens regular files only and keeps to limits; `arrays` and `image_limits` do so for NPZ files and pictures.
`writing` makes files that are there whole or not at all. `outputs` decides what a command may write where. `locks` lets
one process at a time work in a folder. `names` prints file names of any bytes. `cache` and `ownership` are about the
user's cache.
"""
