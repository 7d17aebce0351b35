"""The built-in faces: pictures of people who do not exist, drawn by arithmetic, so that no download is needed."""
