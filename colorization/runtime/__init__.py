"""The machine: atomic files, ranks, the terminal."""
