"""What does not belong: outliers among samples, and where in a picture they are odd."""
