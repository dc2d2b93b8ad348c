"""Trained models as files for other programs, checked before they are written."""
