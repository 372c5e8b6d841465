"""Public data sets on disk → cohorts; one module per data set."""
