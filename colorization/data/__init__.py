"""Data: photos from a source, cut to squares and handed to the trainer as Lab pairs. One file for each source."""
