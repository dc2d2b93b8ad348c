"""What is made of codes: files of them, maps, an index to search, paths between samples."""
