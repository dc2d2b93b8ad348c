"""Duplicates: equal pictures, and those that show the same after a change.

A small gray thumbnail of each picture is all that is kept. Descriptors of thumbnails, of their
crops and of their mirror images propose pairs (`candidates`); each pair is aligned (`alignment`)
and measured (`agreement`). What agrees enough is a pair, and connected pairs are a group.
"""
