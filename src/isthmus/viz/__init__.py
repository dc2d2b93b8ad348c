"""Pictures of arrays. Nothing here knows models or runs; the only files are PNG and GIF."""
