"""Faces in pictures: what one is, the detectors that find them, and the search through a picture of any size."""
