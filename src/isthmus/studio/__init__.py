"""The studio: one page over a run, live or as files."""
