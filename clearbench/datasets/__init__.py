"""Public data sets and one's own exports: a folder on disk → a cohort table."""
