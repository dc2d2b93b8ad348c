"""Drawing: arrays become pictures."""
