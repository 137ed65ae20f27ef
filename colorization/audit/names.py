"""Names of findings, without PyTorch."""

# All findings of an audit. The last two compare photos.
FINDINGS = ("unreadable", "tiny", "gray", "sepia", "low_color", "duplicate", "near_duplicate")
