"""Readers: one for each kind of source."""
