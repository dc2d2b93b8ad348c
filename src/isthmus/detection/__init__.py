"""What does not belong: outliers, duplicates and wrong labels."""
