"""Tasks, patient-level splits, bags, heads and scores."""
