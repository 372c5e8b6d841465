"""Malformed inputs made by code, and what must hold of each: see `cases`."""
