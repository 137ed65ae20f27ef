"""Sweeps: many runs by one command, of which one may fail, and a leaderboard at the end."""
