"""A task's features, labels and folds as one file without pixels, and results repeated from it."""
