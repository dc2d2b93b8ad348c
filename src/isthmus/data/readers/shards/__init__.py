"""WebDataset shards: tar files in which what belongs to a sample has the same name."""
