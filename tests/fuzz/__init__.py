"""Mutated files: seeds, what is changed in them, and what became of a file."""
