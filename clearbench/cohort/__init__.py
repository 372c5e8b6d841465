"""The table of scans, patients and labels, and the pseudonyms under which it is kept."""
