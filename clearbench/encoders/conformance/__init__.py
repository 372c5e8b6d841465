"""What every encoder promises, checked on slices made for it; and golden vectors."""
