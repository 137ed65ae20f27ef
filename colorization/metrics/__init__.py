"""Scores of coloured pictures against the true ones."""
