"""Training: settings, objectives, batches, the loop and the folder that a run leaves."""
