"""Results and their predictions on disk: one schema, written and read here."""
