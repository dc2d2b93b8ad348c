"""What the readers of tables and arrays share: axes and ranges of values."""
