"""The quality of models: metrics on held-out data, compared with baselines."""
