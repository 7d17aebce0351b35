"""Clips: read and written by PyAV, and the faces in them followed from frame to frame."""
