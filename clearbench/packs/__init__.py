"""Packs: a task's features, labels and folds in one file without pixels, to repeat results."""
