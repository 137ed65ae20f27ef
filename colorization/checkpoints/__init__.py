"""Checkpoints: what they say of themselves, how a network is rebuilt from one, and other formats."""
