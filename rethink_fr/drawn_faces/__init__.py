"""The built-in faces: drawn people, for trying everything without pictures of anybody."""
