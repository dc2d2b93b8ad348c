"""From files, archives, tables and arrays to `Samples`."""
