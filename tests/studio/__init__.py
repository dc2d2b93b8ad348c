"""Tests of the studio: its server, its exports, and its page in a browser."""
