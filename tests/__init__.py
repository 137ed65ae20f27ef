"""The tests."""

import os

# The tests' pictures are small: threads would wait for each other more than they work, most of all on a busy machine.
# Read when PyTorch is loaded, also by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
