"""What an evaluation tells: tables, files and a page."""
