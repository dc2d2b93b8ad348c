"""What the readers of folders and archives share: their files, by name and kind."""
