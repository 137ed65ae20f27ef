"""What an audit finds in a dataset: single photos, and duplicates."""
