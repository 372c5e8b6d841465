"""Rows and columns of its input that a network never sees: found, measured, and refused."""
