"""Labels that look wrong, by confident learning on codes."""
