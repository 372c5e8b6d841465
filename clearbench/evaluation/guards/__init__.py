"""Guards against leaks: what a result says of itself, on by default."""
