"""Tasks, honest splits, bags, heads and scores."""
