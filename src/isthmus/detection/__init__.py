"""What does not belong: samples unlike all others, copies, and labels that look wrong."""
