"""Public data sets and your own exports: a folder on disk → a cohort table."""
