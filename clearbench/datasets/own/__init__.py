"""A user's own export and label table → a cohort."""
