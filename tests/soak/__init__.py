"""Attacks at random, with counts: `make soak`. The table `ATTACKS` lists them."""
