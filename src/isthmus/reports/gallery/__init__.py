"""Pictures of what a model does with samples."""
