"""IDX files, in which MNIST is published."""
