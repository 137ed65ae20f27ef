"""Scoring checkpoints: compared with gray and with each other, with intervals, tables and pictures."""
