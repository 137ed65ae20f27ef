"""Checkpoints: their description, rebuilding a network from one, and export."""
