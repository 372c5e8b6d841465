"""What a network sees: windows, batches of slices, and volumes."""
