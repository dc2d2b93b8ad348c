"""Sources elsewhere, by whatever fsspec opens: addresses, paths, listings and contents."""
