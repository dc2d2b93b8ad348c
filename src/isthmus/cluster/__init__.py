"""Work on many machines, by Ray Data (extra `ray`).

Files are decoded in tasks. Samples are encoded by actors, which load the model once and write the
codes of each block. Scheduling, backpressure and recovery are Ray's own.
"""
