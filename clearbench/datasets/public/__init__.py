"""Public data sets as they are on disk → cohorts, one module each."""
