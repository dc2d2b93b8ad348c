"""Work on many machines, by Ray Data (extra `ray`).

Files are decoded in tasks, samples encoded by actors that load the model once, and each block of
codes is written by whoever computed it. Scheduling, backpressure and recovery are Ray's own.
"""
