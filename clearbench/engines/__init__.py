"""Running an encoder on a cohort: reading scans, batches, writing features."""
