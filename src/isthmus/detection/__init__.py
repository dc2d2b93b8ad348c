"""What does not belong: outliers, and where they are odd; duplicates; and wrong labels."""
