"""The DuckDB index over a store; the only place that knows DuckDB's files."""
