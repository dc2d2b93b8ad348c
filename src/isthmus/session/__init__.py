"""`Session`: a run in use, with its model, samples, codes, maps and index each loaded once.

The command line, the reports and every other program that asks a run more than one question go
through a session. It answers by image, by name or by code and returns arrays and numbers. It writes
files only in `stored_map`, in `evaluate` (the result), and where an index has to be built again.
"""

from isthmus.session.session import Session as Session
