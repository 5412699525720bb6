import os

os.environ.setdefault("MPLBACKEND", "Agg")  # no windows, on any machine
