"""Masks: what their files hold, and the classes that their values stand for."""
