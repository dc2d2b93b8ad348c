"""Self-contained HTML pages, and the files that commands write."""
