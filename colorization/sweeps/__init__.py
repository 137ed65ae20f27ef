"""Sweeps: many runs with one command, tolerant of failed jobs, with a leaderboard at the end."""
