"""Auditing a dataset: findings in single photos, and duplicates."""
