"""A task: its card, its units and labels, and which patients are in which fold."""
