"""Input of networks: windows, batches of slices, and volumes."""
