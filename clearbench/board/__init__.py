"""Results: written, read, and rendered as tables."""
