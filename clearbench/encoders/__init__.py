"""Frozen networks with one call: axial slices in HU → features."""
