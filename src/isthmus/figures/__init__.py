"""Pictures of samples, codes and training, as matplotlib figures."""
