"""Codes that outgrow memory: a Lance dataset as their store and their index."""
