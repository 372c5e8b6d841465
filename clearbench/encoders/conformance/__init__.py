"""Checks of what every encoder promises, on made slices; and reference vectors."""
