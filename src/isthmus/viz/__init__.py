"""Pictures of arrays. Nothing here knows a model, a run or a file but the PNG it writes."""
