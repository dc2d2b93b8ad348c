"""Pictures of what a trained model does with samples."""
