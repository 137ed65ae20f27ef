"""Scoring checkpoints: beside gray and each other, with intervals, tables and pictures."""
