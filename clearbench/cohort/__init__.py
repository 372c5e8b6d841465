"""The table of scans, patients and labels, and the pseudonyms of their identifiers."""
