"""The studio: one live page over a run, and the same page as a folder or one file."""
