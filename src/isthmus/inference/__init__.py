"""A model in use: encode, decode, predict."""
