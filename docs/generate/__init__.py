"""Parts of pages that follow from the code: every option, and every message."""
