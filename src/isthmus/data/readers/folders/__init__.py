"""Folders and archives of pictures, whose folders are classes and splits."""
