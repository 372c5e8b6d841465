"""Frozen networks behind one call: axial slices in HU → features."""
