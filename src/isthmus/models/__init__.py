"""Autoencoders as plain modules, and the table that names them."""
