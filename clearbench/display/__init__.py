"""Records → what a person sees: rich tables, progress, plain files."""
