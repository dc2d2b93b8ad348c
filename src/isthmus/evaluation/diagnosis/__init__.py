"""A doctor for runs: what went wrong in a training, in plain words, with what to try."""
