"""Who runs reading and encoding, and where."""
