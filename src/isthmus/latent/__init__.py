"""Codes and what they are used for: maps, search, interpolation."""
