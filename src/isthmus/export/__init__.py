"""Turn a trained model into files for other programs."""
