"""Pictures with masks: which mask belongs to which picture."""
