"""All folds of one head on one encoder's features → an evaluation."""
